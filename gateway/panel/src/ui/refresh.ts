// Lists come from the ledger and are not live. The summary, sent once per second, shows whether
// jobs have changed since; only then is a list fetched again.
import { useEffect, useRef } from "react";
import type { WatchSummary } from "../gen/sentinel/jobs/v1/job_service_pb";
import { useSummary } from "../live/hooks";

const INTERVAL_MIN_MS = 2_000;

/** Returns a key that changes when jobs are enqueued, start or finish, and with the workers. */
function summaryKey(summary: WatchSummary | undefined): string {
  const parts = summary ? [`${summary.workers}`] : [];
  for (const queue of summary?.queues ?? []) {
    for (const one of queue.states) parts.push(`${queue.queue} ${one.state} ${one.count}`);
    const finished = queue.succeededPerSecond + queue.failedPerSecond;
    parts.push(`${queue.enqueuedPerSecond} ${queue.startedPerSecond} ${finished}`);
  }
  return parts.join();
}

/** Calls `refetch` after the summary has changed, at most once per interval. */
export function useRefreshOnChange(refetch: () => void): void {
  const summary = useSummary();
  const key = summaryKey(summary);
  // With a summary at the start, the first fetch of the list is newer than it. Without one, the
  // list may have changed before the first summary arrives.
  const last = useRef({ key, at: Date.now() });
  useEffect(() => {
    if (key === "") return;
    const { key: lastKey, at } = last.current;
    if (lastKey === key) return;
    const timer = setTimeout(
      () => {
        last.current = { key, at: Date.now() };
        refetch();
      },
      Math.max(0, at + INTERVAL_MIN_MS - Date.now()),
    );
    return () => clearTimeout(timer);
  }, [key, refetch]);
}
