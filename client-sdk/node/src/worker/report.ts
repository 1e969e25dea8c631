/** How a handler's end goes into a report, within the limits of the wire. */
import { create } from "@bufbuild/protobuf";
import { CancelledSchema, ReleasedSchema, type ReportItem, ReportItemSchema } from "../gen/sentinel/workers/v1/worker_service_pb.js";
import { cut } from "../text.js";
import { wireDuration, wireTimestamp } from "../time.js";
import type { Held } from "./held.js";
import type { Ended } from "./messages.js";
import { MAX_RESULT_BYTES } from "./tuning.js";

const MAX_MESSAGE_BYTES = 16 * 1024;
const MAX_CODE_BYTES = 128;

/**
 * Under a cancel only a success still counts as the handler's own end. While a drain hands jobs
 * back, a handler that stopped because it was told to is handed back, not failed.
 */
export function toReport(ended: Ended, isCancelled: boolean, isReleasing: boolean): Ended {
  if (ended.type === "succeed") return ended;
  if (isCancelled) return { type: "cancelled" };
  // Nobody asked for a cancel: the handler stopped by itself and another may run it.
  if (isReleasing || ended.type === "cancelled") return { type: "release" };
  return ended;
}

export function timedOut(runTimeoutMs: number): Ended {
  const message = `the attempt ran longer than its run_timeout of ${runTimeoutMs} ms`;
  return { type: "fail", message, code: "TIMEOUT", retryable: true, nextDelayMs: undefined };
}

/**
 * What the wire does not hold ends its own attempt here; thrown from here it would end the session,
 * and all other attempts with it.
 */
export function reportItem(held: Held, ended: Ended, isTimeout: boolean): ReportItem {
  const { lease, startedAtMs } = held;
  try {
    const startedAt = startedAtMs === undefined ? {} : { startedAt: wireTimestamp("startedAt", startedAtMs) };
    return create(ReportItemSchema, { lease, ...startedAt, outcome: outcome(ended, isTimeout) });
  } catch (error) {
    return create(ReportItemSchema, { lease, outcome: failed(unreportable(error), false) });
  }
}

function outcome(ended: Ended, timeout: boolean) {
  switch (ended.type) {
    case "succeed":
      if (ended.result.length > MAX_RESULT_BYTES) return failed(tooLarge(ended.result.length), false);
      return { case: "succeeded" as const, value: { result: ended.result } };
    case "fail":
      return failed(ended, timeout);
    case "snooze":
      return { case: "snoozed" as const, value: { delay: wireDuration("delayMs", ended.delayMs) } };
    case "release":
      return { case: "released" as const, value: create(ReleasedSchema) };
    case "cancelled":
      return { case: "cancelled" as const, value: create(CancelledSchema) };
  }
}

type Failure = Extract<Ended, { type: "fail" }>;

function tooLarge(bytes: number): Failure {
  const message = `the result has ${bytes} bytes; at most ${MAX_RESULT_BYTES} are allowed`;
  return { type: "fail", message, code: "RESULT_TOO_LARGE", retryable: false, nextDelayMs: undefined };
}

function unreportable(error: unknown): Failure {
  const message = `the end of the handler can not be reported: ${String(error)}`;
  return { type: "fail", message, code: "BAD_OUTCOME", retryable: false, nextDelayMs: undefined };
}

function failed(failure: Failure, timeout: boolean) {
  const { message, code, retryable, nextDelayMs } = failure;
  const error = { message: cut(message, MAX_MESSAGE_BYTES), code: cut(code, MAX_CODE_BYTES), retryable };
  const delay = nextDelayMs === undefined ? {} : { nextDelay: wireDuration("nextDelayMs", nextDelayMs) };
  return { case: "failed" as const, value: { error, timeout, ...delay } };
}
