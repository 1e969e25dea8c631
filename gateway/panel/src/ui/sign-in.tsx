// The sign-in form. It replaces the screen that requires an API key, so the URL stays the same.
import { useQueryClient } from "@tanstack/react-query";
import { type FormEvent, useId, useState } from "react";
import { useTexts } from "../i18n/index";
import { useHub } from "../live/hooks";
import { SignInError, signIn } from "../rpc/session";

export function SignIn() {
  const texts = useTexts();
  const hub = useHub();
  const queryClient = useQueryClient();
  const [isSigningIn, setSigningIn] = useState(false);
  const [error, setError] = useState<string>();
  const [hintId, errorId] = [useId(), useId()];

  async function submit(event: FormEvent<HTMLFormElement>) {
    event.preventDefault();
    const key = String(new FormData(event.currentTarget).get("key") ?? "").trim();
    setSigningIn(true);
    setError(undefined);
    try {
      await signIn(key);
      await queryClient.resetQueries();
      hub.reconnect();
    } catch (thrown) {
      const isInvalid = thrown instanceof SignInError && thrown.reason === "INVALID_CREDENTIAL";
      const message = thrown instanceof Error ? thrown.message : String(thrown);
      setError(isInvalid ? `${texts.signIn.invalid} (${message})` : message);
    } finally {
      setSigningIn(false);
    }
  }

  return (
    <form className="sign-in" onSubmit={(event) => void submit(event)}>
      <h1>{texts.signIn.title}</h1>
      <p className="muted">{texts.signIn.text}</p>
      <label>
        <span>{texts.signIn.key}</span>
        <input
          name="key"
          type="password"
          required
          // biome-ignore lint/a11y/noAutofocus: the form has a single field
          autoFocus
          autoComplete="current-password"
          spellCheck={false}
          aria-describedby={error ? errorId : hintId}
          aria-invalid={error !== undefined}
        />
      </label>
      <p id={hintId} className="muted">
        {texts.signIn.hint[0]} <code>sentinel key create</code>
        {texts.signIn.hint[1]}
      </p>
      {error && (
        <p id={errorId} className="field-error" role="alert">
          {error}
        </p>
      )}
      <button type="submit" className="primary" disabled={isSigningIn}>
        {isSigningIn ? texts.signIn.signingIn : texts.signIn.button}
      </button>
    </form>
  );
}
