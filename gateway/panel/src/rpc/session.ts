// Signs in to and out of the gateway, which stores the API key in a cookie.

export class SignInError extends Error {
  constructor(
    readonly reason: string,
    message: string,
  ) {
    super(message);
  }
}

async function request(method: "POST" | "DELETE", body?: { key: string }): Promise<void> {
  const init: RequestInit = body
    ? { method, headers: { "content-type": "application/json" }, body: JSON.stringify(body) }
    : { method };
  const response = await fetch("/session", init);
  if (response.ok) return;
  const json: unknown = await response.json().catch(() => undefined);
  const { reason, message } = errorIn(json);
  throw new SignInError(reason, message || `HTTP ${response.status}`);
}

function errorIn(body: unknown): { reason: string; message: string } {
  const error =
    typeof body === "object" && body !== null && "error" in body ? body.error : undefined;
  const text = (name: string): string => {
    const value =
      typeof error === "object" && error !== null ? Reflect.get(error, name) : undefined;
    return typeof value === "string" ? value : "";
  };
  return { reason: text("reason"), message: text("message") };
}

const listeners = new Set<() => void>();

/** Calls the listener after each sign-in and sign-out of this page. */
export function onSessionChange(listener: () => void): void {
  listeners.add(listener);
}

async function change(response: Promise<void>): Promise<void> {
  await response;
  for (const listener of listeners) listener();
}

export const signIn = (key: string): Promise<void> => change(request("POST", { key }));
export const signOut = (): Promise<void> => change(request("DELETE"));
