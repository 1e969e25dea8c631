// Keys for those who do not reach for the mouse. They do nothing while something is typed.
import { useNavigate } from "@tanstack/react-router";
import { useEffect } from "react";
import { useWords } from "../i18n/index";
import { Dialog } from "../ui/dialog";

const isTyping = (target: EventTarget | null): boolean =>
  target instanceof HTMLElement &&
  (target.isContentEditable || ["INPUT", "TEXTAREA", "SELECT"].includes(target.tagName));

const PLACES = { t: "/", q: "/queues", w: "/workers", n: "/new" } as const;

export function useShortcuts(onHelp: () => void): void {
  const navigate = useNavigate();
  useEffect(() => {
    let isGoing = false;
    const pressed = (event: KeyboardEvent) => {
      if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target)) return;
      if (document.querySelector("dialog[open]")) return;
      const went = isGoing && event.key in PLACES;
      isGoing = event.key === "g";
      if (went) void navigate({ to: PLACES[event.key as keyof typeof PLACES] });
      else if (event.key === "?") onHelp();
      else if (event.key === "/") {
        event.preventDefault();
        void navigate({ to: "/search" });
      }
    };
    document.addEventListener("keydown", pressed);
    return () => document.removeEventListener("keydown", pressed);
  }, [navigate, onHelp]);
}

export function ShortcutsDialog({ onClose }: { onClose: () => void }) {
  const words = useWords();
  const { shortcuts } = words;
  const rows = [
    ["/", shortcuts.search],
    ["g t", shortcuts.goTasks],
    ["g q", shortcuts.goQueues],
    ["g w", shortcuts.goWorkers],
    ["g n", shortcuts.goNew],
    ["?", shortcuts.help],
    ["Esc", shortcuts.close],
  ] as const;
  return (
    <Dialog title={shortcuts.title} onClose={onClose}>
      <dl className="pairs">
        {rows.map(([keys, what]) => (
          <div key={keys}>
            <dt>
              {keys.split(" ").map((key) => (
                <kbd key={key}>{key}</kbd>
              ))}
            </dt>
            <dd>{what}</dd>
          </div>
        ))}
      </dl>
    </Dialog>
  );
}
