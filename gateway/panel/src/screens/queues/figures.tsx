// Figures of one queue out of a summary.
import { Link } from "@tanstack/react-router";
import { JobState } from "../../gen/sentinel/jobs/v1/job_pb";
import type { Percentiles, QueueSummary } from "../../gen/sentinel/jobs/v1/job_service_pb";
import { spanOf, useFormat } from "../../i18n/format";
import { useWords } from "../../i18n/index";
import { type KnownState, nameOf } from "../../ui/states";

export const DEPTHS = [
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
  const words = useWords();
  const format = useFormat();
  const found = summary?.states.find((one) => one.state === state);
  if (!found || found.count === 0n) return <span className="quiet">0</span>;
  const name = nameOf(state);
  const text = format.number(found.count);
  return (
    <Link
      to="/search"
      search={{ queue, state: name }}
      className="depth"
      data-state={name}
      aria-label={`${queue}, ${words.states[name]}: ${text}`}
    >
      {found.capped ? words.common.capped(text) : text}
    </Link>
  );
}

export function Times({ of }: { of: Percentiles | undefined }) {
  const format = useFormat();
  if (!of || of.samples === 0n) return <span className="quiet">–</span>;
  const parts = [of.p50, of.p95, of.p99].map((span) => format.span(spanOf(span) ?? 0));
  return <span className="nowrap">{parts.join(" · ")}</span>;
}

export function Oldest({ summary }: { summary: QueueSummary | undefined }) {
  const format = useFormat();
  const age = spanOf(summary?.oldestReadyAge);
  return age === undefined ? (
    <span className="quiet">–</span>
  ) : (
    <span className="nowrap">{format.span(age)}</span>
  );
}
