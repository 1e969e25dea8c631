// The last minutes of each queue's rates, gathered from the summaries while the page is open:
// the server keeps a minute, the picture shows five.
import { useEffect, useRef, useState } from "react";
import type { WatchSummary } from "../../gen/sentinel/jobs/v1/job_service_pb";

export interface Point {
  enqueued: number;
  ended: number;
}

export const POINTS_MAX = 150;
/** A point for every second summary. */
const EVERY = 2;

export type History = ReadonlyMap<string, readonly Point[]>;

/** With the point of one more summary; queues that are gone go. */
export function extended(history: History, summary: WatchSummary): History {
  const next = new Map<string, readonly Point[]>();
  for (const { queue, enqueuedPerSecond, succeededPerSecond, failedPerSecond } of summary.queues) {
    const before = history.get(queue) ?? [];
    const point = { enqueued: enqueuedPerSecond, ended: succeededPerSecond + failedPerSecond };
    next.set(queue, [...before, point].slice(-POINTS_MAX));
  }
  return next;
}

export function useHistory(summary: WatchSummary | undefined): History {
  const [history, setHistory] = useState<History>(new Map());
  const count = useRef(0);
  useEffect(() => {
    if (!summary) return;
    if (count.current++ % EVERY === 0) setHistory((before) => extended(before, summary));
  }, [summary]);
  return history;
}
