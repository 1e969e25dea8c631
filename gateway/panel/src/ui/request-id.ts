// Makes a call safe to repeat. crypto.randomUUID is only there over https and on loopback.

export function requestId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
