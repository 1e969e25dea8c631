/** The wire's times as milliseconds, and back. */
import { create } from "@bufbuild/protobuf";
import { type Duration, DurationSchema, type Timestamp, TimestampSchema } from "@bufbuild/protobuf/wkt";

/** A negative duration reads as zero. */
export function durationMs(duration: Duration): number {
  return Math.max(0, Number(duration.seconds) * 1000 + duration.nanos / 1e6);
}

export function wireDuration(ms: number): Duration {
  return create(DurationSchema, split(ms));
}

export function wireTimestamp(ms: number): Timestamp {
  return create(TimestampSchema, split(ms));
}

function split(ms: number): { seconds: bigint; nanos: number } {
  const seconds = Math.floor(ms / 1000);
  const nanos = Math.round((ms - seconds * 1000) * 1e6);
  // What is just below a second may be rounded up to it.
  return nanos < 1e9 ? { seconds: BigInt(seconds), nanos } : { seconds: BigInt(seconds + 1), nanos: 0 };
}
