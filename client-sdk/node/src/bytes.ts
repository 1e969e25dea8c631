/** Encodes payloads, results and other data. The only place that decides what a value looks like on the wire. */
import { InvalidArgumentError } from "./errors.js";
import { JsonWriter } from "./json-writer.js";

/**
 * Encodes a value: bytes (typed arrays, `DataView`, `ArrayBuffer`) and text unchanged, `undefined` as empty,
 * anything else as JSON. `name` starts the path in the error, such as `result` in `result.items[3]: NaN …`.
 *
 * @throws InvalidArgumentError that names the part that has no JSON form. No other exception.
 */
export function toBytes(name: string, value: unknown): Uint8Array {
  if (value === undefined) return new Uint8Array();
  if (typeof value === "string") return new TextEncoder().encode(value);
  return bytesOf(name, value) ?? jsonBytes(name, value);
}

/** As `toBytes`, but text is JSON, too: a string becomes a quoted string. */
export function toPayload(name: string, value: unknown): { bytes: Uint8Array; isBinary: boolean } {
  if (value === undefined) return { bytes: new Uint8Array(), isBinary: false };
  const bytes = bytesOf(name, value);
  return bytes === undefined ? { bytes: jsonBytes(name, value), isBinary: false } : { bytes, isBinary: true };
}

function jsonBytes(name: string, value: unknown): Uint8Array {
  return new TextEncoder().encode(new JsonWriter(name).write(value));
}

/** A copy of binary data, or `undefined` for other values. A copy, because a Buffer is often a view of a pool. */
function bytesOf(name: string, value: unknown): Uint8Array | undefined {
  try {
    if (ArrayBuffer.isView(value)) return new Uint8Array(value.buffer, value.byteOffset, value.byteLength).slice();
    // By its tag, because an ArrayBuffer of another realm (Jest, vm) is not an instance of this one.
    const tag = Object.prototype.toString.call(value);
    if (tag !== "[object ArrayBuffer]" && tag !== "[object SharedArrayBuffer]") return undefined;
    return new Uint8Array(value as ArrayBuffer).slice();
  } catch {
    throw new InvalidArgumentError(`${name}: the value cannot be read as bytes`);
  }
}
