/** Encodes payloads, results and other data. */

/** Encodes a value: bytes and text unchanged, `undefined` as empty, anything else as JSON. */
export function toBytes(value: unknown): Uint8Array {
  if (value === undefined) return new Uint8Array();
  // Copied, because a Buffer is often a view of a shared pool.
  if (value instanceof Uint8Array) return new Uint8Array(value);
  return new TextEncoder().encode(typeof value === "string" ? value : JSON.stringify(value));
}
