/** Returns a new idempotency key, which makes a call safe to retry.
 *
 * It does not use crypto.randomUUID, which exists only on https and on loopback. */
export function newRequestId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
