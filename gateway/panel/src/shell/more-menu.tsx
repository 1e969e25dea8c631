// The menu with language, theme, keyboard shortcuts and sign-out.
import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { LANGUAGES, type LanguageName, useLanguage } from "../i18n/index";
import { signOut } from "../rpc/session";
import { useNotifications } from "../ui/feedback";
import { reloadPage } from "./reload";
import { chooseTheme, currentTheme, THEMES, type Theme } from "./theme";

export function MoreMenu({ onShortcuts }: { onShortcuts: () => void }) {
  const { name, texts, choose } = useLanguage();
  const [theme, setTheme] = useState(currentTheme);
  const queryClient = useQueryClient();
  const notifications = useNotifications();

  async function leave() {
    try {
      await signOut();
      queryClient.clear();
      await reloadPage();
    } catch (error) {
      notifications.error(error);
    }
  }

  return (
    <details className="more">
      <summary>
        <svg viewBox="0 0 24 24" aria-hidden="true">
          <path d="M5 12h.01M12 12h.01M19 12h.01" />
        </svg>
        <span>{texts.nav.more}</span>
      </summary>
      <div className="more-list">
        <label>
          <span>{texts.nav.language}</span>
          <select value={name} onChange={(event) => choose(event.target.value as LanguageName)}>
            {Object.entries(LANGUAGES).map(([code, { language }]) => (
              <option key={code} value={code} lang={code}>
                {language}
              </option>
            ))}
          </select>
        </label>
        <label>
          <span>{texts.nav.theme}</span>
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
                {texts.nav.themes[one]}
              </option>
            ))}
          </select>
        </label>
        <button type="button" className="link" onClick={onShortcuts}>
          {texts.nav.shortcuts}
        </button>
        <button type="button" className="link" onClick={() => void leave()}>
          {texts.nav.signOut}
        </button>
      </div>
    </details>
  );
}
