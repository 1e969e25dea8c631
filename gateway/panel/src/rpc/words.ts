// What an error of a call means to the person at the page: one place, so that the same refusal
// reads the same on every screen.
import { Code, ConnectError } from "@connectrpc/connect";
import {
  BadRequestSchema,
  ErrorInfoSchema,
  RetryInfoSchema,
} from "../gen/google/rpc/error_details_pb";
import type { Words } from "../i18n/en";

export interface Trouble {
  /** Signed out, forbidden, gone: what the page does about it depends on it. */
  kind: "signIn" | "forbidden" | "away" | "refused";
  title: string;
  /** What the server said. */
  detail: string;
  /** To branch on, and to look up in the documentation. */
  reason: string;
  /** By the name of a field, such as `spec.queue`. */
  fields: ReadonlyMap<string, string>;
  retryAfterMs: number | undefined;
}

export function troubleOf(error: unknown, words: Words): Trouble {
  const problem = ConnectError.from(error);
  const info = problem.findDetails(ErrorInfoSchema)[0];
  const bad = problem.findDetails(BadRequestSchema)[0];
  const wait = problem.findDetails(RetryInfoSchema)[0]?.retryDelay;
  const fields = new Map<string, string>();
  for (const { field, description } of bad?.fieldViolations ?? []) fields.set(field, description);
  return {
    kind: kindOf(problem.code),
    title: titleOf(problem.code, words),
    detail: problem.rawMessage,
    reason: info?.reason ?? Code[problem.code] ?? "",
    fields,
    retryAfterMs: wait && Number(wait.seconds) * 1000 + wait.nanos / 1e6,
  };
}

function kindOf(code: Code): Trouble["kind"] {
  switch (code) {
    case Code.Unauthenticated:
      return "signIn";
    case Code.PermissionDenied:
      return "forbidden";
    case Code.Unavailable:
    case Code.Unknown:
    case Code.DeadlineExceeded:
      return "away";
    default:
      return "refused";
  }
}

function titleOf(code: Code, words: Words): string {
  const { errors } = words;
  switch (code) {
    case Code.Unauthenticated:
      return errors.signIn;
    case Code.PermissionDenied:
      return errors.forbidden;
    case Code.NotFound:
      return errors.notFound;
    case Code.InvalidArgument:
      return errors.invalid;
    case Code.ResourceExhausted:
      return errors.exhausted;
    case Code.FailedPrecondition:
    case Code.Aborted:
      return errors.notNow;
    case Code.AlreadyExists:
      return errors.exists;
    case Code.Unavailable:
    case Code.Unknown:
    case Code.DeadlineExceeded:
      return errors.away;
    default:
      return errors.failed;
  }
}
