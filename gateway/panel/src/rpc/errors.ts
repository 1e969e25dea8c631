// Describes errors of calls for users. All screens use it, so the same error has the same text.
import { Code, ConnectError } from "@connectrpc/connect";
import {
  BadRequestSchema,
  ErrorInfoSchema,
  RetryInfoSchema,
} from "../gen/google/rpc/error_details_pb";
import type { Texts } from "../i18n/en";

export interface CallError {
  /** Decides what the page does: show the sign-in form, or show the error. */
  kind: "unauthenticated" | "forbidden" | "unreachable" | "refused";
  title: string;
  /** The message of the server. */
  detail: string;
  /** The stable identifier that docs/errors.md lists. */
  reason: string;
  /** Descriptions by the path of a field, such as `spec.queue`. */
  fields: ReadonlyMap<string, string>;
  retryAfterMs: number | undefined;
}

export function describeError(thrown: unknown, texts: Texts): CallError {
  const error = ConnectError.from(thrown);
  const info = error.findDetails(ErrorInfoSchema)[0];
  const badRequest = error.findDetails(BadRequestSchema)[0];
  const delay = error.findDetails(RetryInfoSchema)[0]?.retryDelay;
  const fields = new Map<string, string>();
  for (const { field, description } of badRequest?.fieldViolations ?? []) {
    fields.set(field, description);
  }
  return {
    kind: kindOf(error.code),
    title: titleOf(error.code, texts),
    detail: error.rawMessage,
    reason: info?.reason ?? Code[error.code] ?? "",
    fields,
    retryAfterMs: delay && Number(delay.seconds) * 1000 + delay.nanos / 1e6,
  };
}

function kindOf(code: Code): CallError["kind"] {
  switch (code) {
    case Code.Unauthenticated:
      return "unauthenticated";
    case Code.PermissionDenied:
      return "forbidden";
    case Code.Unavailable:
    case Code.Unknown:
    case Code.DeadlineExceeded:
      return "unreachable";
    default:
      return "refused";
  }
}

function titleOf(code: Code, texts: Texts): string {
  const { errors } = texts;
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
      return errors.unreachable;
    default:
      return errors.failed;
  }
}
