// Times that go on by themselves: one clock for the page, a second a tick.
import type { Timestamp } from "@bufbuild/protobuf/wkt";
import { useSyncExternalStore } from "react";
import { millisOf, useFormat } from "../i18n/format";

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

export function useNow(): number {
  return useSyncExternalStore(subscribe, () => now);
}

/** How long ago it was, the moment itself on hover. */
export function Age({ of }: { of: Timestamp | undefined }) {
  const at = millisOf(of);
  const clock = useNow();
  const format = useFormat();
  if (at === undefined) return null;
  return (
    <time dateTime={new Date(at).toISOString()} title={format.moment(at)}>
      {format.span(Math.max(0, clock - at))}
    </time>
  );
}

/** The moment in words. */
export function Moment({ of }: { of: Timestamp | undefined }) {
  const at = millisOf(of);
  const format = useFormat();
  if (at === undefined) return null;
  return <time dateTime={new Date(at).toISOString()}>{format.moment(at)}</time>;
}

/** From one moment to another, or to now. */
export function Span({ from, to }: { from: Timestamp | undefined; to: Timestamp | undefined }) {
  const begin = millisOf(from);
  const clock = useNow();
  const format = useFormat();
  if (begin === undefined) return null;
  return <>{format.span(Math.max(0, (millisOf(to) ?? clock) - begin))}</>;
}
