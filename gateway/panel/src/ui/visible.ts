// Text from jobs, workers and users can contain characters that are not shown, or that change the
// order in which other characters are shown. The panel shows them as escapes.

/** Control characters, marks and overrides of direction, invisible and deprecated format
 * characters, line separators, and surrogates without their pair. Joiners stay: scripts and emoji
 * need them. */
const INVISIBLE =
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are the characters to find
  /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u115f\u1160\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\u3164\ufeff\uffa0\ufff9-\ufffb\ud800-\udfff\u{e0000}-\u{e007f}]/gu;

const escapeOf = (character: string): string => {
  const code = character.codePointAt(0) ?? 0;
  return code > 0xffff ? `\\u{${code.toString(16)}}` : `\\u${code.toString(16).padStart(4, "0")}`;
};

/** Returns the text of one line, with every invisible character as an escape. */
export function visible(text: string): string {
  return text.replace(INVISIBLE, escapeOf);
}

/** Returns a text of several lines. Keeps its line breaks and tabs. */
export function visibleLines(text: string): string {
  return text
    .replaceAll("\r\n", "\n")
    .replace(INVISIBLE, (found) => (found === "\n" || found === "\t" ? found : escapeOf(found)));
}

/** Returns whether a text contains characters that `visible` escapes. */
export const hasInvisible = (text: string): boolean => text.search(INVISIBLE) >= 0;

/** Returns a JSON string literal without invisible characters. */
export function quoted(text: string): string {
  // A character outside the basic plane has no single escape in JSON.
  return JSON.stringify(text).replace(INVISIBLE, (found) => found.split("").map(escapeOf).join(""));
}
