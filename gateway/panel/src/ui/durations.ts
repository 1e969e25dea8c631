// Converts durations and times between input fields and messages.
import type { Duration } from "@bufbuild/protobuf/wkt";
import { durationMs } from "../i18n/format";

const UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1e3, m: 6e4, h: 3.6e6, d: 8.64e7 };

/** Parses text such as 90s or 15m. Returns milliseconds. */
export function parseDuration(text: string): number | undefined {
  const parts = /^(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)$/.exec(text.trim());
  const unit = parts?.[2] === undefined ? undefined : UNITS[parts[2]];
  return unit === undefined ? undefined : Number(parts?.[1]) * unit;
}

/** Rounds to whole milliseconds before splitting, so that nanos stay below one second. */
export function toDuration(ms: number): { seconds: bigint; nanos: number } {
  const whole = Math.round(ms);
  return { seconds: BigInt(Math.floor(whole / 1000)), nanos: (whole % 1000) * 1e6 };
}

export function durationText(duration: Duration | undefined): string {
  const ms = durationMs(duration);
  if (ms === undefined) return "";
  return ms % 1000 === 0 ? `${ms / 1000}s` : `${ms}ms`;
}

/** Returns the value of an input of type datetime-local, in the time zone of the browser. */
export function toLocalInput(ms: number | undefined): string {
  if (ms === undefined || Number.isNaN(ms)) return "";
  const shifted = new Date(ms - new Date(ms).getTimezoneOffset() * 60_000);
  return shifted.toISOString().slice(0, 19);
}

/** Returns the value of such an input in UTC. Returns text that is not a time unchanged. */
export function fromLocalInput(local: string): string {
  const ms = Date.parse(local);
  return Number.isNaN(ms) ? local : new Date(ms).toISOString();
}
