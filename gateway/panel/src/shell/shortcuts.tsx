// Keyboard shortcuts. They are inactive while the user types in a field or a dialog is open.
import { useNavigate } from "@tanstack/react-router";
import { useEffect } from "react";
import { useTexts } from "../i18n/index";
import { Dialog } from "../ui/dialog";

const isEditable = (target: EventTarget | null): boolean =>
  target instanceof HTMLElement &&
  (target.isContentEditable || ["INPUT", "TEXTAREA", "SELECT"].includes(target.tagName));

/** Routes by the key to press after "g". */
const ROUTES = { j: "/", q: "/queues", w: "/workers", n: "/new" } as const;

export function useShortcuts(onHelp: () => void): void {
  const navigate = useNavigate();
  useEffect(() => {
    let isAfterG = false;
    const onKeyDown = (event: KeyboardEvent) => {
      if (event.ctrlKey || event.metaKey || event.altKey || isEditable(event.target)) return;
      if (document.querySelector("dialog[open]")) return;
      const isRouteKey = isAfterG && event.key in ROUTES;
      isAfterG = event.key === "g";
      if (isRouteKey) void navigate({ to: ROUTES[event.key as keyof typeof ROUTES] });
      else if (event.key === "?") onHelp();
      else if (event.key === "/") {
        event.preventDefault();
        void navigate({ to: "/search" });
      }
    };
    document.addEventListener("keydown", onKeyDown);
    return () => document.removeEventListener("keydown", onKeyDown);
  }, [navigate, onHelp]);
}

export function ShortcutsDialog({ onClose }: { onClose: () => void }) {
  const texts = useTexts();
  const { shortcuts } = texts;
  const rows = [
    ["/", shortcuts.search],
    ["g j", shortcuts.goJobs],
    ["g q", shortcuts.goQueues],
    ["g w", shortcuts.goWorkers],
    ["g n", shortcuts.goNew],
    ["?", shortcuts.help],
    ["Esc", shortcuts.close],
  ] as const;
  return (
    <Dialog title={shortcuts.title} onClose={onClose}>
      <dl className="pairs">
        {rows.map(([keys, action]) => (
          <div key={keys}>
            <dt>
              {keys.split(" ").map((key) => (
                <kbd key={key}>{key}</kbd>
              ))}
            </dt>
            <dd>{action}</dd>
          </div>
        ))}
      </dl>
    </Dialog>
  );
}
