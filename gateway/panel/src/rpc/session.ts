// Sign-in at the gateway: the key becomes a cookie there.

export class SignInError extends Error {
  constructor(
    readonly reason: string,
    message: string,
  ) {
    super(message);
  }
}

async function ask(method: "POST" | "DELETE", body?: { key: string }): Promise<void> {
  const init: RequestInit = body
    ? { method, headers: { "content-type": "application/json" }, body: JSON.stringify(body) }
    : { method };
  const answer = await fetch("/session", init);
  if (answer.ok) return;
  const text: unknown = await answer.json().catch(() => undefined);
  const { reason, message } = errorIn(text);
  throw new SignInError(reason, message || `HTTP ${answer.status}`);
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

export const signIn = (key: string): Promise<void> => ask("POST", { key });
export const signOut = (): Promise<void> => ask("DELETE");
