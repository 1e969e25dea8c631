// Every word is there in every language. That each language has each key, the compiler knows.
import assert from "node:assert/strict";
import { test } from "node:test";
import { en } from "../src/i18n/en";
import { fr } from "../src/i18n/fr";

/** The texts below an object by their paths; what is composed, composed of its parameters' places. */
function texts(words: object, path = ""): Map<string, string> {
  const found = new Map<string, string>();
  for (const [name, value] of Object.entries(words) as [string, unknown][]) {
    const at = `${path}${name}`;
    if (typeof value === "string") found.set(at, value);
    else if (typeof value === "function")
      found.set(at, String(value(...Array.from({ length: value.length }, (_, n) => `<${n}>`))));
    else if (typeof value === "object" && value !== null)
      for (const [inner, text] of texts(value, `${at}.`)) found.set(inner, text);
  }
  return found;
}

const [english, french] = [texts(en), texts(fr)];

test("no text is empty", () => {
  for (const [language, all] of Object.entries({ english, french })) {
    for (const [path, text] of all) assert.notEqual(text.trim(), "", `${language}: ${path}`);
  }
});

test("both languages say the same things, with the same figures in them", () => {
  assert.deepEqual([...french.keys()].sort(), [...english.keys()].sort());
  const places = (text: string | undefined) =>
    [...(text ?? "").matchAll(/<\d>/g)].map(String).sort();
  for (const [path, text] of english)
    assert.deepEqual(new Set(places(french.get(path))), new Set(places(text)), path);
});
