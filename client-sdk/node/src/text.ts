/** Text within the byte limits of the wire. */

/** Cuts at a character, never inside one. */
export function cut(text: string, maxBytes: number): string {
  return split(text, maxBytes)[0];
}

/** The longest head of at most so many bytes, and the rest. */
export function split(text: string, maxBytes: number): [string, string] {
  // No character of UTF-16 takes more than three bytes.
  if (text.length * 3 <= maxBytes) return [text, ""];
  let [bytes, end] = [0, 0];
  for (const character of text) {
    bytes += Buffer.byteLength(character);
    if (bytes > maxBytes) return [text.slice(0, end), text.slice(end)];
    end += character.length;
  }
  return [text, ""];
}
