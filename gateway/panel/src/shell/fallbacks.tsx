// Screens for unknown addresses and for errors during rendering.
import { Link } from "@tanstack/react-router";
import { useState } from "react";
import { useTexts } from "../i18n/index";
import { visibleLines } from "../ui/visible";
import { reloadPage } from "./reload";

export function NotFound() {
  const texts = useTexts();
  return (
    <div className="empty">
      <p className="strong">{texts.common.notFound}</p>
      <Link to="/">{texts.common.toJobs}</Link>
    </div>
  );
}

export function ErrorScreen({ error }: { error: unknown }) {
  const texts = useTexts();
  const [isOffline, setOffline] = useState(false);
  return (
    <div className="error-box" role="alert">
      <p className="strong">{texts.errors.crashed}</p>
      <p>{visibleLines(error instanceof Error ? error.message : String(error))}</p>
      {isOffline && <p>{texts.errors.stillOffline}</p>}
      <button
        type="button"
        onClick={() => void reloadPage().then((isReloaded) => setOffline(!isReloaded))}
      >
        {texts.errors.reload}
      </button>
    </div>
  );
}
