// Loading indicators, empty lists, errors and notifications.
import {
  createContext,
  type ReactNode,
  useCallback,
  useContext,
  useMemo,
  useRef,
  useState,
} from "react";
import { useTexts } from "../i18n/index";
import { useConnection } from "../live/hooks";
import { type CallError, describeError } from "../rpc/errors";
import { SignIn } from "./sign-in";
import { visible, visibleLines } from "./visible";

export function Loading() {
  const texts = useTexts();
  return (
    <p className="empty" role="status">
      {texts.common.loading}
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

/** Shows an error in place of the content that failed to load. */
export function ErrorMessage({
  error,
  onRetry,
}: {
  error: unknown;
  onRetry?: (() => void) | undefined;
}) {
  const texts = useTexts();
  const callError = describeError(error, texts);
  const connection = useConnection();
  // Some calls require an API key on a server whose stream requires none: ask for it here. When
  // the stream requires a key as well, the shell asks for it once, so nothing is shown here.
  if (callError.kind === "unauthenticated") {
    if (connection.status === "live") return <SignIn />;
    if (connection.status === "connecting") return <Loading />;
  }
  return <ErrorBox error={callError} onRetry={onRetry} />;
}

export function ErrorBox({
  error,
  onRetry,
}: {
  error: CallError;
  onRetry?: (() => void) | undefined;
}) {
  const texts = useTexts();
  return (
    <div className="error-box" role="alert">
      <p className="strong">{error.title}</p>
      <p>{visibleLines(error.detail)}</p>
      {error.fields.size > 0 && (
        <ul>
          {[...error.fields].map(([field, description]) => (
            <li key={field}>
              <code>{visible(field)}</code> {visible(description)}
            </li>
          ))}
        </ul>
      )}
      <p className="muted">
        {error.reason !== "" && (
          <>
            {texts.errors.reason}: <code>{error.reason}</code>
          </>
        )}{" "}
        {onRetry && (
          <button type="button" className="link" onClick={onRetry}>
            {texts.errors.retry}
          </button>
        )}
      </p>
    </div>
  );
}

interface Notification {
  id: number;
  kind: "success" | "error";
  text: string;
}

interface Notifications {
  success(text: string): void;
  /** `prefix` says how many calls failed, when it is more than one. */
  error(error: unknown, prefix?: string): void;
}

const Context = createContext<Notifications>({
  success: () => undefined,
  error: () => undefined,
});

/** Returns functions that show the result of an action. Screen readers read it aloud. */
export const useNotifications = (): Notifications => useContext(Context);

const SUCCESS_SHOWN_MS = 6_000;
const NOTIFICATIONS_MAX = 4;

export function NotificationsProvider({ children }: { children: ReactNode }) {
  const texts = useTexts();
  const [notifications, setNotifications] = useState<Notification[]>([]);
  const nextId = useRef(0);
  const remove = useCallback(
    (id: number) => setNotifications((all) => all.filter((one) => one.id !== id)),
    [],
  );
  const add = useCallback(
    (kind: Notification["kind"], text: string) => {
      const id = nextId.current++;
      setNotifications((all) => [...all.slice(1 - NOTIFICATIONS_MAX), { id, kind, text }]);
      // An error stays until the user closes it.
      if (kind === "success") setTimeout(() => remove(id), SUCCESS_SHOWN_MS);
    },
    [remove],
  );
  const value = useMemo<Notifications>(
    () => ({
      success: (text) => add("success", text),
      error(error, prefix) {
        const { title, detail } = describeError(error, texts);
        add("error", `${prefix === undefined ? "" : `${prefix}. `}${title}: ${detail}`);
      },
    }),
    [add, texts],
  );
  return (
    <Context.Provider value={value}>
      {children}
      <div className="notifications" aria-live="polite">
        {notifications.map(({ id, kind, text }) => (
          <div key={id} className="notification" data-kind={kind}>
            <span>{visibleLines(text)}</span>
            <button
              type="button"
              className="link"
              aria-label={texts.actions.close}
              onClick={() => remove(id)}
            >
              ×
            </button>
          </div>
        ))}
      </div>
    </Context.Provider>
  );
}
