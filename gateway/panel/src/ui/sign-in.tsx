// Sign-in, in the place of the screen that wanted it: the address stays.
import { useQueryClient } from "@tanstack/react-query";
import { type FormEvent, useId, useState } from "react";
import { useWords } from "../i18n/index";
import { useHub } from "../live/hooks";
import { SignInError, signIn } from "../rpc/session";

export function SignIn() {
  const words = useWords();
  const hub = useHub();
  const cache = useQueryClient();
  const [isWorking, setWorking] = useState(false);
  const [problem, setProblem] = useState<string>();
  const [hint, trouble] = [useId(), useId()];

  async function submit(event: FormEvent<HTMLFormElement>) {
    event.preventDefault();
    const key = String(new FormData(event.currentTarget).get("key") ?? "").trim();
    setWorking(true);
    setProblem(undefined);
    try {
      await signIn(key);
      await cache.resetQueries();
      hub.wake();
    } catch (error) {
      const isWrong = error instanceof SignInError && error.reason === "INVALID_CREDENTIAL";
      const said = error instanceof Error ? error.message : String(error);
      setProblem(isWrong ? `${words.signIn.wrong} (${said})` : said);
    } finally {
      setWorking(false);
    }
  }

  return (
    <form className="sign-in" onSubmit={(event) => void submit(event)}>
      <h1>{words.signIn.title}</h1>
      <p className="quiet">{words.signIn.text}</p>
      <label>
        <span>{words.signIn.key}</span>
        <input
          name="key"
          type="password"
          required
          autoFocus
          autoComplete="current-password"
          spellCheck={false}
          aria-describedby={problem ? trouble : hint}
          aria-invalid={problem !== undefined}
        />
      </label>
      <p id={hint} className="quiet">
        {words.signIn.hint[0]} <code>sentinel key create</code> {words.signIn.hint[1]}
      </p>
      {problem && (
        <p id={trouble} className="field-error" role="alert">
          {problem}
        </p>
      )}
      <button type="submit" className="primary" disabled={isWorking}>
        {isWorking ? words.signIn.working : words.signIn.button}
      </button>
    </form>
  );
}
