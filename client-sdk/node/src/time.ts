/** Conversions between milliseconds and the wire's Timestamp and Duration. */
import { create } from "@bufbuild/protobuf";
import { type Duration, DurationSchema, type Timestamp, TimestampSchema } from "@bufbuild/protobuf/wkt";
import { InvalidArgumentError } from "./errors.js";

/** The ranges of Duration (10,000 years) and Timestamp (years 1 to 9999). */
const MAX_DURATION_MS = 315_576_000_000_000;
const MIN_TIMESTAMP_MS = -62_135_596_800_000;
const MAX_TIMESTAMP_MS = 253_402_300_799_999;

/** A negative duration becomes zero. */
export function durationMs(duration: Duration): number {
  return Math.max(0, Number(duration.seconds) * 1000 + duration.nanos / 1e6);
}

/** @throws InvalidArgumentError that names the field. */
export function wireDuration(field: string, ms: number): Duration {
  return create(DurationSchema, secondsAndNanos(field, ms, 0, MAX_DURATION_MS));
}

/** @throws InvalidArgumentError that names the field. */
export function wireTimestamp(field: string, ms: number): Timestamp {
  return create(TimestampSchema, secondsAndNanos(field, ms, MIN_TIMESTAMP_MS, MAX_TIMESTAMP_MS));
}

function secondsAndNanos(field: string, ms: number, min: number, max: number): { seconds: bigint; nanos: number } {
  if (!Number.isFinite(ms) || ms < min || ms > max) {
    throw new InvalidArgumentError(`invalid ${field}: ${String(ms)} ms; allowed are ${min}..${max}`);
  }
  const seconds = Math.floor(ms / 1000);
  const nanos = Math.round((ms - seconds * 1000) * 1e6);
  // Rounding can reach a full second.
  return nanos < 1e9 ? { seconds: BigInt(seconds), nanos } : { seconds: BigInt(seconds + 1), nanos: 0 };
}
