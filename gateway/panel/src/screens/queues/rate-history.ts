// The throughput of each queue over the last five minutes, collected from the summaries while
// the page is open. The server itself keeps only one minute.
import { useEffect, useRef, useState } from "react";
import type { WatchSummary } from "../../gen/sentinel/jobs/v1/job_service_pb";

export interface Point {
  enqueued: number;
  finished: number;
}

export const POINTS_MAX = 150;
/** The page keeps every second summary as a point. */
const SUMMARIES_PER_POINT = 2;

export type RateHistory = ReadonlyMap<string, readonly Point[]>;

/** Appends a point per queue. Queues that are not in the summary are removed. */
export function appendPoint(history: RateHistory, summary: WatchSummary): RateHistory {
  const next = new Map<string, readonly Point[]>();
  for (const { queue, enqueuedPerSecond, succeededPerSecond, failedPerSecond } of summary.queues) {
    const before = history.get(queue) ?? [];
    const point = { enqueued: enqueuedPerSecond, finished: succeededPerSecond + failedPerSecond };
    next.set(queue, [...before, point].slice(-POINTS_MAX));
  }
  return next;
}

export function useRateHistory(summary: WatchSummary | undefined): RateHistory {
  const [history, setHistory] = useState<RateHistory>(new Map());
  const count = useRef(0);
  useEffect(() => {
    if (!summary) return;
    if (count.current++ % SUMMARIES_PER_POINT === 0)
      setHistory((before) => appendPoint(before, summary));
  }, [summary]);
  return history;
}
