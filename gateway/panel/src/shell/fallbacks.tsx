// Screens for unknown addresses and for errors during rendering.
import { Link } from "@tanstack/react-router";
import { useTexts } from "../i18n/index";

export function NotFound() {
  const texts = useTexts();
  return (
    <div className="empty">
      <p className="strong">{texts.common.notFound}</p>
      <Link to="/">{texts.common.toJobs}</Link>
    </div>
  );
}

/** Shown also in a tab opened before an update, when the code of a screen no longer exists. */
export function ErrorScreen({ error }: { error: unknown }) {
  const texts = useTexts();
  return (
    <div className="error-box" role="alert">
      <p className="strong">{texts.errors.crashed}</p>
      <p>{error instanceof Error ? error.message : String(error)}</p>
      <button type="button" onClick={() => window.location.reload()}>
        {texts.errors.reload}
      </button>
    </div>
  );
}
