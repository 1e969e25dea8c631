// Language, theme, shortcuts, sign-out.
import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { LANGUAGES, type LanguageName, useLanguage } from "../i18n/index";
import { signOut } from "../rpc/session";
import { useNotes } from "../ui/feedback";
import { chooseTheme, THEMES, type Theme, themeNow } from "./theme";

export function More({ onShortcuts }: { onShortcuts: () => void }) {
  const { name, words, choose } = useLanguage();
  const [theme, setTheme] = useState(themeNow);
  const cache = useQueryClient();
  const notes = useNotes();

  async function leave() {
    try {
      await signOut();
      cache.clear();
      window.location.reload();
    } catch (error) {
      notes.bad(error);
    }
  }

  return (
    <details className="more">
      <summary>
        <svg viewBox="0 0 24 24" aria-hidden="true">
          <path d="M5 12h.01M12 12h.01M19 12h.01" />
        </svg>
        <span>{words.nav.more}</span>
      </summary>
      <div className="more-list">
        <label>
          <span>{words.nav.language}</span>
          <select value={name} onChange={(event) => choose(event.target.value as LanguageName)}>
            {Object.entries(LANGUAGES).map(([code, { language }]) => (
              <option key={code} value={code} lang={code}>
                {language}
              </option>
            ))}
          </select>
        </label>
        <label>
          <span>{words.nav.theme}</span>
          <select
            value={theme}
            onChange={(event) => {
              const next = event.target.value as Theme;
              chooseTheme(next);
              setTheme(next);
            }}
          >
            {THEMES.map((one) => (
              <option key={one} value={one}>
                {words.nav.themes[one]}
              </option>
            ))}
          </select>
        </label>
        <button type="button" className="link" onClick={onShortcuts}>
          {words.nav.keys}
        </button>
        <button type="button" className="link" onClick={() => void leave()}>
          {words.nav.signOut}
        </button>
      </div>
    </details>
  );
}
