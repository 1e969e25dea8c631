// Lists come from the ledger once. The summary, every second, says whether something has
// happened since: only then is a list asked for again, and not more often than every 2 s.
import { useEffect, useRef } from "react";
import type { WatchSummary } from "../gen/sentinel/jobs/v1/job_service_pb";
import { useSummary } from "../live/hooks";

const EVERY_MS = 2_000;

/** All that changes when a job is enqueued, starts or ends, or a worker comes or goes. */
function figures(summary: WatchSummary | undefined): string {
  const parts = summary ? [`${summary.workers}`] : [];
  for (const queue of summary?.queues ?? []) {
    for (const one of queue.states) parts.push(`${queue.queue} ${one.state} ${one.count}`);
    const ended = queue.succeededPerSecond + queue.failedPerSecond;
    parts.push(`${queue.enqueuedPerSecond} ${queue.startedPerSecond} ${ended}`);
  }
  return parts.join();
}

/** Calls `again` when jobs have changed since the last call. */
export function useFresh(again: () => void): void {
  const summary = useSummary();
  const last = useRef({ figures: "", at: 0 });
  const now = figures(summary);
  useEffect(() => {
    if (now === "") return;
    const { figures: before, at } = last.current;
    if (before === "") {
      last.current = { figures: now, at: Date.now() };
      return;
    }
    if (before === now) return;
    const wait = setTimeout(
      () => {
        last.current = { figures: now, at: Date.now() };
        again();
      },
      Math.max(0, at + EVERY_MS - Date.now()),
    );
    return () => clearTimeout(wait);
  }, [now, again]);
}
