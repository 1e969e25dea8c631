// Checks the texts. The compiler guarantees that every language has every key.
import assert from "node:assert/strict";
import { test } from "node:test";
import { en } from "../src/i18n/en";
import { fr } from "../src/i18n/fr";

/** Returns all texts by their path. A function is called with the positions of its parameters. */
function textsByPath(object: object, prefix = ""): Map<string, string> {
  const found = new Map<string, string>();
  for (const [name, value] of Object.entries(object) as [string, unknown][]) {
    const path = `${prefix}${name}`;
    if (typeof value === "string") found.set(path, value);
    else if (typeof value === "function") {
      const positions = Array.from({ length: value.length }, (_, index) => `<${index}>`);
      found.set(path, String(value(...positions)));
    } else if (typeof value === "object" && value !== null) {
      for (const [inner, text] of textsByPath(value, `${path}.`)) found.set(inner, text);
    }
  }
  return found;
}

const [english, french] = [textsByPath(en), textsByPath(fr)];

test("no text is empty", () => {
  for (const [language, texts] of Object.entries({ english, french })) {
    for (const [path, text] of texts) assert.notEqual(text.trim(), "", `${language}: ${path}`);
  }
});

test("the languages have the same texts with the same parameters", () => {
  assert.deepEqual([...french.keys()].sort(), [...english.keys()].sort());
  const parameters = (text: string | undefined) =>
    new Set([...(text ?? "").matchAll(/<\d>/g)].map(String));
  for (const [path, text] of english) {
    assert.deepEqual(parameters(french.get(path)), parameters(text), path);
  }
});
