// Formats numbers, times and durations in the language of the page.
import type { Duration, Timestamp } from "@bufbuild/protobuf/wkt";
import { useMemo } from "react";
import { useLanguage } from "./index";

export function timestampMs(time: Timestamp | undefined): number | undefined {
  return time && Number(time.seconds) * 1000 + Math.floor(time.nanos / 1e6);
}

export function durationMs(duration: Duration | undefined): number | undefined {
  return duration && Number(duration.seconds) * 1000 + duration.nanos / 1e6;
}

export interface Format {
  number(value: number | bigint): string;
  /** Rounds to one decimal. */
  rate(perSecond: number): string;
  /** Shows the two largest units: 1 h 5 min, 3.2 s, 12 ms. */
  duration(ms: number): string;
  dateTime(ms: number): string;
  time(ms: number): string;
  bytes(count: number): string;
}

export function formatFor(language: string): Format {
  const number = new Intl.NumberFormat(language);
  const rate = new Intl.NumberFormat(language, { maximumFractionDigits: 1 });
  const dateTime = new Intl.DateTimeFormat(language, { dateStyle: "medium", timeStyle: "medium" });
  const time = new Intl.DateTimeFormat(language, { timeStyle: "medium" });
  const unit = (name: string, digits = 0) =>
    new Intl.NumberFormat(language, {
      style: "unit",
      unit: name,
      unitDisplay: "narrow",
      maximumFractionDigits: digits,
    });
  const milliseconds = unit("millisecond");
  const tenthsOfSeconds = unit("second", 1);
  const seconds = unit("second");
  const units = [
    { format: unit("day"), ms: 86_400_000 },
    { format: unit("hour"), ms: 3_600_000 },
    { format: unit("minute"), ms: 60_000 },
    { format: seconds, ms: 1000 },
  ];
  return {
    number: (value) => number.format(value),
    rate: (value) => rate.format(value),
    duration(ms) {
      if (ms < 1000) return milliseconds.format(Math.max(0, Math.round(ms)));
      if (ms < 60_000)
        return (ms < 10_000 ? tenthsOfSeconds : seconds).format(Math.floor(ms / 100) / 10);
      const first = units.findIndex((one) => ms >= one.ms);
      let rest = ms;
      const parts = units.slice(first, first + 2).map((one) => {
        const count = Math.floor(rest / one.ms);
        rest -= count * one.ms;
        return one.format.format(count);
      });
      return parts.join(" ");
    },
    dateTime: (ms) => dateTime.format(ms),
    time: (ms) => time.format(ms),
    bytes: (count) =>
      count < 1024 ? `${number.format(count)} B` : `${rate.format(count / 1024)} KiB`,
  };
}

/** Returns the regional variant of a language that the browser prefers, such as en-GB. */
function regionalLocale(language: string): string {
  return navigator.languages.find((one) => one.toLowerCase().startsWith(language)) ?? language;
}

export function useFormat(): Format {
  const { name } = useLanguage();
  return useMemo(() => formatFor(regionalLocale(name)), [name]);
}
