/** Splits text at the byte limits of the protocol. */

/** Truncates at a character boundary. */
export function truncate(text: string, maxBytes: number): string {
  return splitAt(text, maxBytes)[0];
}

/** The longest prefix of at most `maxBytes` bytes in UTF-8, and the rest. */
export function splitAt(text: string, maxBytes: number): [string, string] {
  // A UTF-16 code unit takes at most three bytes in UTF-8.
  if (text.length * 3 <= maxBytes) return [text, ""];
  let [bytes, end] = [0, 0];
  for (const character of text) {
    bytes += Buffer.byteLength(character);
    if (bytes > maxBytes) return [text.slice(0, end), text.slice(end)];
    end += character.length;
  }
  return [text, ""];
}
