/** Converts the outcome of a handler into a report, within the limits of the protocol. */
import { create } from "@bufbuild/protobuf";
import {
  CancelledSchema,
  ReleasedSchema,
  type ReportItem,
  ReportItemSchema,
} from "../gen/sentinel/workers/v1/worker_service_pb.js";
import { textOf, truncate } from "../text.js";
import { wireDuration, wireTimestamp } from "../time.js";
import { MAX_CODE_BYTES, MAX_DETAIL_BYTES, MAX_MESSAGE_BYTES, MAX_RESULT_BYTES } from "./constants.js";
import type { HeldAttempt } from "./held-attempt.js";
import type { Failure, HandlerOutcome } from "./thread-messages.js";

/**
 * The outcome to report. For a cancelled job only a success is reported as such. While a drain releases
 * jobs, a handler that stopped because of it is released, not failed.
 */
export function reportedOutcome(outcome: HandlerOutcome, isCancelled: boolean, isReleasing: boolean): HandlerOutcome {
  if (outcome.type === "succeed") return outcome;
  if (isCancelled) return { type: "cancelled" };
  // Without a requested cancel, the handler stopped on its own, so another worker may run the job.
  if (isReleasing || outcome.type === "cancelled") return { type: "release" };
  return outcome;
}

export function timedOut(runTimeoutMs: number): HandlerOutcome {
  const message = `the attempt ran longer than its run_timeout of ${runTimeoutMs} ms`;
  return { type: "fail", message, code: "TIMEOUT", retryable: true, nextDelayMs: undefined, detail: "" };
}

/**
 * Creates the report of an attempt. An outcome that the protocol cannot express fails this attempt; an
 * exception here would end the session and all other attempts.
 */
export function reportItem(held: HeldAttempt, outcome: HandlerOutcome, isTimeout: boolean): ReportItem {
  const { lease, startedAtMs } = held;
  try {
    const startedAt = startedAtMs === undefined ? {} : { startedAt: wireTimestamp("startedAt", startedAtMs) };
    return create(ReportItemSchema, { lease, ...startedAt, outcome: wireOutcome(outcome, isTimeout) });
  } catch (error) {
    return create(ReportItemSchema, { lease, outcome: wireFailure(notReportable(error), false) });
  }
}

function wireOutcome(outcome: HandlerOutcome, isTimeout: boolean) {
  switch (outcome.type) {
    case "succeed":
      if (outcome.result.length > MAX_RESULT_BYTES) return wireFailure(tooLarge(outcome.result.length), false);
      return { case: "succeeded" as const, value: { result: outcome.result } };
    case "fail":
      return wireFailure(outcome, isTimeout);
    case "snooze":
      return { case: "snoozed" as const, value: { delay: wireDuration("delayMs", outcome.delayMs) } };
    case "release":
      return { case: "released" as const, value: create(ReleasedSchema) };
    case "cancelled":
      return { case: "cancelled" as const, value: create(CancelledSchema) };
  }
}

function tooLarge(bytes: number): Failure {
  const message = `the result has ${bytes} bytes; at most ${MAX_RESULT_BYTES} are allowed`;
  return { type: "fail", message, code: "RESULT_TOO_LARGE", retryable: false, nextDelayMs: undefined, detail: "" };
}

function notReportable(error: unknown): Failure {
  const message = `the outcome of the handler cannot be reported: ${textOf(error)}`;
  return { type: "fail", message, code: "BAD_OUTCOME", retryable: false, nextDelayMs: undefined, detail: "" };
}

function wireFailure(failure: Failure, timeout: boolean) {
  const { retryable, nextDelayMs } = failure;
  const message = truncate(failure.message, MAX_MESSAGE_BYTES);
  const detail = truncate(failure.detail, MAX_DETAIL_BYTES);
  const error = { message, code: truncate(failure.code, MAX_CODE_BYTES), retryable, detail };
  const delay = nextDelayMs === undefined ? {} : { nextDelay: wireDuration("nextDelayMs", nextDelayMs) };
  return { case: "failed" as const, value: { error, timeout, ...delay } };
}
