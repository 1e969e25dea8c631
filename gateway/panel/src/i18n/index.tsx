// The language of the page: the browser's, or the one that was chosen here. Numbers and times
// follow it too.
import { createContext, type ReactNode, useContext, useEffect, useMemo, useState } from "react";
import { en, type Words } from "./en";
import { fr } from "./fr";

export const LANGUAGES = { en, fr } as const;
export type LanguageName = keyof typeof LANGUAGES;

const KEPT = "sentinel.language";

interface Language {
  name: LanguageName;
  words: Words;
  choose(name: LanguageName): void;
}

const Context = createContext<Language>({ name: "en", words: en, choose: () => undefined });

function firstLanguage(): LanguageName {
  const kept = localStorage.getItem(KEPT);
  if (kept === "en" || kept === "fr") return kept;
  return navigator.language.toLowerCase().startsWith("fr") ? "fr" : "en";
}

export function LanguageProvider({ children }: { children: ReactNode }) {
  const [name, setName] = useState(firstLanguage);
  useEffect(() => {
    document.documentElement.lang = name;
  }, [name]);
  const language = useMemo<Language>(
    () => ({
      name,
      words: LANGUAGES[name],
      choose(next) {
        localStorage.setItem(KEPT, next);
        setName(next);
      },
    }),
    [name],
  );
  return <Context.Provider value={language}>{children}</Context.Provider>;
}

export const useLanguage = (): Language => useContext(Context);
export const useWords = (): Words => useContext(Context).words;
