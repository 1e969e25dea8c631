// Numbers, times and spans as the language writes them.
import type { Duration, Timestamp } from "@bufbuild/protobuf/wkt";
import { useMemo } from "react";
import { useLanguage } from "./index";

export function millisOf(time: Timestamp | undefined): number | undefined {
  return time && Number(time.seconds) * 1000 + Math.floor(time.nanos / 1e6);
}

export function spanOf(duration: Duration | undefined): number | undefined {
  return duration && Number(duration.seconds) * 1000 + duration.nanos / 1e6;
}

export interface Format {
  number(value: number | bigint): string;
  /** With at most one digit after the point. */
  rate(perSecond: number): string;
  /** The two largest units: 1 h 5 min, 3.2 s, 12 ms. */
  span(ms: number): string;
  /** A moment in full, for titles. */
  moment(ms: number): string;
  clock(ms: number): string;
  bytes(count: number): string;
}

const UNITS = [
  ["day", 86_400_000],
  ["hour", 3_600_000],
  ["minute", 60_000],
] as const;

export function formatFor(language: string): Format {
  const number = new Intl.NumberFormat(language);
  const rate = new Intl.NumberFormat(language, { maximumFractionDigits: 1 });
  const moment = new Intl.DateTimeFormat(language, { dateStyle: "medium", timeStyle: "medium" });
  const clock = new Intl.DateTimeFormat(language, { timeStyle: "medium" });
  const unit = (name: string, digits = 0) =>
    new Intl.NumberFormat(language, {
      style: "unit",
      unit: name,
      unitDisplay: "narrow",
      maximumFractionDigits: digits,
    });
  const units = new Map(["day", "hour", "minute", "millisecond"].map((name) => [name, unit(name)]));
  const seconds = unit("second", 1);
  const wholeSeconds = unit("second");
  return {
    number: (value) => number.format(value),
    rate: (value) => rate.format(value),
    span(ms) {
      if (ms < 1000) return units.get("millisecond")!.format(Math.max(0, Math.round(ms)));
      if (ms < 60_000)
        return (ms < 10_000 ? seconds : wholeSeconds).format(Math.floor(ms / 100) / 10);
      for (const [name, size] of UNITS) {
        if (ms < size) continue;
        const next = UNITS[UNITS.findIndex(([other]) => other === name) + 1];
        const first = units.get(name)!.format(Math.floor(ms / size));
        const rest = ms % size;
        const second = next
          ? units.get(next[0])!.format(Math.floor(rest / next[1]))
          : wholeSeconds.format(Math.floor(rest / 1000));
        return `${first} ${second}`;
      }
      return "";
    },
    moment: (ms) => moment.format(ms),
    clock: (ms) => clock.format(ms),
    bytes: (count) =>
      count < 1024 ? `${number.format(count)} B` : `${rate.format(count / 1024)} KiB`,
  };
}

/** English is not written alike everywhere: the browser may say where it is. */
function localeFor(language: string): string {
  return navigator.languages.find((one) => one.toLowerCase().startsWith(language)) ?? language;
}

export function useFormat(): Format {
  const { name } = useLanguage();
  return useMemo(() => formatFor(localeFor(name)), [name]);
}
