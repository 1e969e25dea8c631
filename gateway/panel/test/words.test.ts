// What an error of a call means to the person at the page.
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
import { troubleOf } from "../src/rpc/words";

test("the details of a refusal come to their fields, in the words of the language", () => {
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
  const trouble = troubleOf(error, en);
  assert.deepEqual(
    [trouble.kind, trouble.title, trouble.detail, trouble.reason, trouble.retryAfterMs],
    ["refused", en.errors.invalid, "2 fields", "INVALID_FIELD", 1500],
  );
  assert.deepEqual(
    [...trouble.fields],
    [
      ["spec.queue", "is empty"],
      ["spec.kind", "is long"],
    ],
  );
  assert.equal(troubleOf(error, fr).title, fr.errors.invalid);
});

test("what the page does follows from the code", () => {
  const kind = (code: Code) => troubleOf(new ConnectError("x", code), en).kind;
  assert.equal(kind(Code.Unauthenticated), "signIn");
  assert.equal(kind(Code.PermissionDenied), "forbidden");
  for (const code of [Code.Unavailable, Code.DeadlineExceeded, Code.Unknown])
    assert.equal(kind(code), "away", Code[code]);
  for (const code of [Code.NotFound, Code.ResourceExhausted, Code.Aborted, Code.AlreadyExists]) {
    assert.equal(kind(code), "refused", Code[code]);
  }
});

test("what is no error of a call is told as it is", () => {
  assert.equal(troubleOf(new Error("fetch failed"), en).detail, "fetch failed");
});
