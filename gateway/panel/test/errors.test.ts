// Tests of the description of errors for users.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Code, ConnectError } from "@connectrpc/connect";
import {
  BadRequestSchema,
  ErrorInfoSchema,
  RetryInfoSchema,
} from "../src/gen/google/rpc/error_details_pb";
import { en } from "../src/i18n/en";
import { fr } from "../src/i18n/fr";
import { describeError } from "../src/rpc/errors";

test("an error is described with its details, in the language of the texts", () => {
  const error = new ConnectError("2 fields", Code.InvalidArgument, undefined, [
    { desc: ErrorInfoSchema, value: { reason: "INVALID_FIELD", domain: "sentinel" } },
    {
      desc: BadRequestSchema,
      value: {
        fieldViolations: [
          { field: "spec.queue", description: "is empty" },
          { field: "spec.kind", description: "is long" },
        ],
      },
    },
    { desc: RetryInfoSchema, value: { retryDelay: { seconds: 1n, nanos: 500_000_000 } } },
  ]);
  const callError = describeError(error, en);
  assert.deepEqual(
    [callError.kind, callError.title, callError.detail, callError.reason, callError.retryAfterMs],
    ["refused", en.errors.invalid, "2 fields", "INVALID_FIELD", 1500],
  );
  assert.deepEqual(
    [...callError.fields],
    [
      ["spec.queue", "is empty"],
      ["spec.kind", "is long"],
    ],
  );
  assert.equal(describeError(error, fr).title, fr.errors.invalid);
});

test("the kind of an error follows from its code", () => {
  const kind = (code: Code) => describeError(new ConnectError("x", code), en).kind;
  assert.equal(kind(Code.Unauthenticated), "unauthenticated");
  assert.equal(kind(Code.PermissionDenied), "forbidden");
  for (const code of [Code.Unavailable, Code.DeadlineExceeded, Code.Unknown])
    assert.equal(kind(code), "unreachable", Code[code]);
  for (const code of [Code.NotFound, Code.ResourceExhausted, Code.Aborted, Code.AlreadyExists]) {
    assert.equal(kind(code), "refused", Code[code]);
  }
});

test("the message of another error is shown unchanged", () => {
  assert.equal(describeError(new Error("fetch failed"), en).detail, "fetch failed");
});
