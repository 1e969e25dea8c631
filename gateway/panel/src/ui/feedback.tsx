// Loading, nothing there, and what went wrong: the same everywhere.
import {
  createContext,
  type ReactNode,
  useCallback,
  useContext,
  useMemo,
  useRef,
  useState,
} from "react";
import { useWords } from "../i18n/index";
import { useLine } from "../live/hooks";
import { type Trouble, troubleOf } from "../rpc/words";
import { SignIn } from "./sign-in";

export function Loading() {
  const words = useWords();
  return (
    <p className="empty" role="status">
      {words.common.loading}
    </p>
  );
}

export function Empty({ title, children }: { title: string; children?: ReactNode }) {
  return (
    <div className="empty">
      <p className="strong">{title}</p>
      {children}
    </div>
  );
}

/** An error where its content would be. */
export function Failure({ error, again }: { error: unknown; again?: (() => void) | undefined }) {
  const words = useWords();
  const trouble = troubleOf(error, words);
  const line = useLine();
  // Some calls want a key even of a server that lets everybody look. One that lets nobody look
  // says so on the stream too, and then the whole page asks for it, once.
  if (trouble.kind === "signIn" && line.is === "live") return <SignIn />;
  if (trouble.kind === "signIn" && line.is === "connecting") return <Loading />;
  return <TroubleBox trouble={trouble} again={again} />;
}

export function TroubleBox({
  trouble,
  again,
}: {
  trouble: Trouble;
  again?: (() => void) | undefined;
}) {
  const words = useWords();
  return (
    <div className="trouble" role="alert">
      <p className="strong">{trouble.title}</p>
      <p>{trouble.detail}</p>
      {trouble.fields.size > 0 && (
        <ul>
          {[...trouble.fields].map(([field, text]) => (
            <li key={field}>
              <code>{field}</code> {text}
            </li>
          ))}
        </ul>
      )}
      <p className="quiet">
        {trouble.reason !== "" && (
          <>
            {words.errors.reason}: <code>{trouble.reason}</code>
          </>
        )}{" "}
        {again && (
          <button type="button" className="link" onClick={again}>
            {words.errors.again}
          </button>
        )}
      </p>
    </div>
  );
}

interface Note {
  id: number;
  kind: "good" | "bad";
  text: string;
}

interface Notes {
  good(text: string): void;
  /** `many`: how many calls it stands for, in words. */
  bad(error: unknown, many?: string): void;
}

const Context = createContext<Notes>({ good: () => undefined, bad: () => undefined });

/** What an action came to, said once and read aloud. */
export const useNotes = (): Notes => useContext(Context);

const SHOWN_MS = 6_000;
const NOTES_MAX = 4;

export function NotesProvider({ children }: { children: ReactNode }) {
  const words = useWords();
  const [notes, setNotes] = useState<Note[]>([]);
  const next = useRef(0);
  const add = useCallback((kind: Note["kind"], text: string) => {
    const id = next.current++;
    setNotes((all) => [...all.slice(1 - NOTES_MAX), { id, kind, text }]);
    // An error stays until it is read away.
    if (kind === "good")
      setTimeout(() => setNotes((all) => all.filter((one) => one.id !== id)), SHOWN_MS);
  }, []);
  const value = useMemo<Notes>(
    () => ({
      good: (text) => add("good", text),
      bad(error, many) {
        const { title, detail } = troubleOf(error, words);
        add("bad", `${many === undefined ? "" : `${many}. `}${title}: ${detail}`);
      },
    }),
    [add, words],
  );
  return (
    <Context.Provider value={value}>
      {children}
      <div className="notes" aria-live="polite">
        {notes.map(({ id, kind, text }) => (
          <div key={id} className="note" data-kind={kind}>
            <span>{text}</span>
            <button
              type="button"
              className="link"
              aria-label={words.actions.close}
              onClick={() => setNotes((all) => all.filter((one) => one.id !== id))}
            >
              ×
            </button>
          </div>
        ))}
      </div>
    </Context.Provider>
  );
}
