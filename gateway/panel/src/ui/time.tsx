// Components for times. Relative times share one clock that ticks once per second.
import type { Timestamp } from "@bufbuild/protobuf/wkt";
import { useSyncExternalStore } from "react";
import { timestampMs, useFormat } from "../i18n/format";

const listeners = new Set<() => void>();
let now = Date.now();
let timer: ReturnType<typeof setInterval> | undefined;

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  timer ??= setInterval(() => {
    now = Date.now();
    for (const one of listeners) one();
  }, 1000);
  return () => {
    listeners.delete(listener);
    if (listeners.size === 0) {
      clearInterval(timer);
      timer = undefined;
    }
  };
}

/** Returns the current time in ms, updated once per second. */
export function useNow(): number {
  return useSyncExternalStore(subscribe, () => now);
}

/** Shows the time since a timestamp, with the timestamp as tooltip. */
export function Age({ since }: { since: Timestamp | undefined }) {
  const sinceMs = timestampMs(since);
  const nowMs = useNow();
  const format = useFormat();
  if (sinceMs === undefined) return null;
  return (
    <time dateTime={new Date(sinceMs).toISOString()} title={format.dateTime(sinceMs)}>
      {format.duration(Math.max(0, nowMs - sinceMs))}
    </time>
  );
}

export function DateTime({ value }: { value: Timestamp | undefined }) {
  const ms = timestampMs(value);
  const format = useFormat();
  if (ms === undefined) return null;
  return <time dateTime={new Date(ms).toISOString()}>{format.dateTime(ms)}</time>;
}

/** Shows the time between two timestamps. Without `to` it counts up to now. */
export function Elapsed({ from, to }: { from: Timestamp | undefined; to: Timestamp | undefined }) {
  const fromMs = timestampMs(from);
  const nowMs = useNow();
  const format = useFormat();
  if (fromMs === undefined) return null;
  return <>{format.duration(Math.max(0, (timestampMs(to) ?? nowMs) - fromMs))}</>;
}
