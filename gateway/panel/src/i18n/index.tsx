// The language of the page: the one that the user chose here, or else the browser's. Numbers and
// times use its formats.
import { createContext, type ReactNode, useContext, useEffect, useMemo, useState } from "react";
import { en, type Texts } from "./en";
import { fr } from "./fr";

export const LANGUAGES = { en, fr } as const;
export type LanguageName = keyof typeof LANGUAGES;

const STORAGE_KEY = "sentinel.language";

interface Language {
  name: LanguageName;
  texts: Texts;
  choose(name: LanguageName): void;
}

const Context = createContext<Language>({ name: "en", texts: en, choose: () => undefined });

function initialLanguage(): LanguageName {
  const stored = localStorage.getItem(STORAGE_KEY);
  if (stored === "en" || stored === "fr") return stored;
  return navigator.language.toLowerCase().startsWith("fr") ? "fr" : "en";
}

export function LanguageProvider({ children }: { children: ReactNode }) {
  const [name, setName] = useState(initialLanguage);
  useEffect(() => {
    document.documentElement.lang = name;
  }, [name]);
  const language = useMemo<Language>(
    () => ({
      name,
      texts: LANGUAGES[name],
      choose(next) {
        localStorage.setItem(STORAGE_KEY, next);
        setName(next);
      },
    }),
    [name],
  );
  return <Context.Provider value={language}>{children}</Context.Provider>;
}

export const useLanguage = (): Language => useContext(Context);
export const useTexts = (): Texts => useContext(Context).texts;
