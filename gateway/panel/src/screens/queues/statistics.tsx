// Statistics of one queue from the summary.
import { Link } from "@tanstack/react-router";
import { JobState } from "../../gen/sentinel/jobs/v1/job_pb";
import type { Percentiles, QueueSummary } from "../../gen/sentinel/jobs/v1/job_service_pb";
import { durationMs, useFormat } from "../../i18n/format";
import { useTexts } from "../../i18n/index";
import { printList } from "../../ui/filter-text";
import { type KnownState, stateName } from "../../ui/states";

/** The states whose job counts the table of queues shows. */
export const DEPTH_STATES = [
  JobState.RUNNING,
  JobState.READY,
  JobState.SCHEDULED,
  JobState.BLOCKED,
  JobState.FAILED,
] as const;

export function Depth({
  queue,
  summary,
  state,
}: {
  queue: string;
  summary: QueueSummary | undefined;
  state: KnownState;
}) {
  const texts = useTexts();
  const format = useFormat();
  const found = summary?.states.find((one) => one.state === state);
  if (!found || found.count === 0n) return <span className="muted">0</span>;
  const name = stateName(state);
  const text = format.number(found.count);
  return (
    <Link
      to="/search"
      search={{ queue: printList([queue]), state: name }}
      className="depth"
      data-state={name}
      aria-label={`${queue}, ${texts.states[name]}: ${text}`}
    >
      {found.capped ? texts.common.moreThan(text) : text}
    </Link>
  );
}

export function PercentileTimes({ values }: { values: Percentiles | undefined }) {
  const format = useFormat();
  if (!values || values.samples === 0n) return <span className="muted">–</span>;
  const parts = [values.p50, values.p95, values.p99].map((one) =>
    format.duration(durationMs(one) ?? 0),
  );
  return <span className="times">{parts.join(" · ")}</span>;
}

export function OldestReadyAge({ summary }: { summary: QueueSummary | undefined }) {
  const format = useFormat();
  const age = durationMs(summary?.oldestReadyAge);
  return age === undefined ? (
    <span className="muted">–</span>
  ) : (
    <span className="nowrap">{format.duration(age)}</span>
  );
}
