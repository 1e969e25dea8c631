// Addresses that lead nowhere, and screens that failed.
import { Link } from "@tanstack/react-router";
import { useWords } from "../i18n/index";

export function NotFound() {
  const words = useWords();
  return (
    <div className="empty">
      <p className="strong">{words.common.notFound}</p>
      <Link to="/">{words.common.toTasks}</Link>
    </div>
  );
}

/** Also met by a page that was open during an update, whose screens are gone. */
export function Crashed({ error }: { error: unknown }) {
  const words = useWords();
  return (
    <div className="trouble" role="alert">
      <p className="strong">{words.errors.crashed}</p>
      <p>{error instanceof Error ? error.message : String(error)}</p>
      <button type="button" onClick={() => window.location.reload()}>
        {words.errors.reload}
      </button>
    </div>
  );
}
