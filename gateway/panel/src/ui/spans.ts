// Spans and moments of time as they are typed into fields, and as messages.
import type { Duration } from "@bufbuild/protobuf/wkt";
import { spanOf } from "../i18n/format";

const UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1e3, m: 6e4, h: 3.6e6, d: 8.64e7 };

/** Of a text such as 90s or 15m. */
export function millisIn(text: string): number | undefined {
  const parts = /^(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)$/.exec(text.trim());
  const unit = parts?.[2] === undefined ? undefined : UNITS[parts[2]];
  return unit === undefined ? undefined : Number(parts?.[1]) * unit;
}

/** To the millisecond, rounded as a whole, so that no part is over its range. */
export function durationOf(ms: number): { seconds: bigint; nanos: number } {
  const whole = Math.round(ms);
  return { seconds: BigInt(Math.floor(whole / 1000)), nanos: (whole % 1000) * 1e6 };
}

export function textOfSpan(span: Duration | undefined): string {
  const ms = spanOf(span);
  if (ms === undefined) return "";
  return ms % 1000 === 0 ? `${ms / 1000}s` : `${ms}ms`;
}

/** As an input of the type datetime-local holds it: in the browser's own zone. */
export function localTime(ms: number | undefined): string {
  if (ms === undefined || Number.isNaN(ms)) return "";
  const shifted = new Date(ms - new Date(ms).getTimezoneOffset() * 60_000);
  return shifted.toISOString().slice(0, 19);
}

/** What such an input holds, with its zone: the same moment for whoever is sent the text. */
export function momentOf(local: string): string {
  const ms = Date.parse(local);
  return Number.isNaN(ms) ? local : new Date(ms).toISOString();
}
