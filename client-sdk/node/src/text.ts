/** Text for people and for the byte limits of the protocol. */

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

/** Calls a function that may throw; returns `fallback` then. */
export function tryOr<T>(read: () => T, fallback: T): T {
  try {
    return read();
  } catch {
    return fallback;
  }
}

/**
 * Any value as well-formed text, for advisory fields and error messages. Never throws: a value whose conversion
 * throws is described by its type. Lone surrogates, which UTF-8 cannot express, become U+FFFD.
 */
export function textOf(value: unknown): string {
  const text = tryOr(() => {
    if (value instanceof Error) return value.message || value.name;
    return String(value);
  }, undefined as unknown);
  return typeof text === "string" ? text.toWellFormed() : `a value without text, of type ${typeof value}`;
}
