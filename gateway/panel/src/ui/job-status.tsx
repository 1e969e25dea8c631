// The badge of a state and the progress bar of a job.
import type { Job } from "../gen/sentinel/jobs/v1/job_pb";
import { useFormat } from "../i18n/format";
import { useTexts } from "../i18n/index";
import { isTerminal, type StateName, stateName } from "./states";
import { visible } from "./visible";

/** Icons that can be told apart without colour and at 12 px. */
const ICONS: Record<StateName, string> = {
  running: "M4 2.5v9l7.5-4.5z",
  ready:
    "M7 2.2a4.8 4.8 0 1 0 0 9.6 4.8 4.8 0 0 0 0-9.6zm0 1.6a3.2 3.2 0 1 1 0 6.4 3.2 3.2 0 0 1 0-6.4z",
  scheduled:
    "M7 1.6a5.4 5.4 0 1 0 0 10.8A5.4 5.4 0 0 0 7 1.6zm.8 2v3.1l2.1 2.1-1.1 1.1L6.2 7.3V3.6z",
  blocked: "M2.5 6h9v2h-9z",
  failed:
    "M3.8 2.4 7 5.6l3.2-3.2 1.4 1.4L8.4 7l3.2 3.2-1.4 1.4L7 8.4l-3.2 3.2-1.4-1.4L5.6 7 2.4 3.8z",
  cancelled:
    "M7 1.6a5.4 5.4 0 1 0 0 10.8A5.4 5.4 0 0 0 7 1.6zM3.9 9l5.1-5.1A3.7 3.7 0 0 1 9 9a3.7 3.7 0 0 1-5.1 0z",
  expired: "M3 2h8v1.5L8.2 7 11 10.5V12H3v-1.5L5.8 7 3 3.5z",
  succeeded: "M5.7 11.4 1.9 7.6l1.4-1.4 2.4 2.4 5-5 1.4 1.4z",
};

export function StateBadge({ state }: { state: StateName }) {
  const texts = useTexts();
  return (
    <span className="state" data-state={state}>
      <svg viewBox="0 0 14 14" aria-hidden="true">
        <path d={ICONS[state]} />
      </svg>
      {texts.states[state]}
    </span>
  );
}

/** Shows the progress that the handler reported. A job that did not succeed keeps its bar only
 * when the total is known. */
export function JobProgress({ job, wide = false }: { job: Job; wide?: boolean }) {
  const texts = useTexts();
  const format = useFormat();
  const { progress } = job;
  const message = visible(progress?.message ?? "");
  const state = stateName(job.state);
  if (!progress) return null;
  if (isTerminal(job.state) && state !== "succeeded" && progress.total === 0n) return null;
  const total = Number(progress.total);
  const done = Math.min(Number(progress.done), total || Number.MAX_SAFE_INTEGER);
  const fraction = total > 0 ? done / total : undefined;
  const text =
    total > 0
      ? texts.common.of(format.number(progress.done), format.number(progress.total))
      : format.number(progress.done);
  return (
    <div className={wide ? "progress wide" : "progress"} data-state={state}>
      <div
        role="progressbar"
        aria-label={`${texts.fields.progress} ${visible(job.spec?.kind ?? "")} ${job.id.slice(0, 8)}`}
        aria-valuemin={0}
        aria-valuemax={total > 0 ? total : undefined}
        aria-valuenow={total > 0 ? done : undefined}
        aria-valuetext={message === "" ? text : `${text}, ${message}`}
        className={fraction === undefined ? "bar unknown" : "bar"}
      >
        <span style={{ transform: `scaleX(${fraction ?? 1})` }} />
      </div>
      <span className="progress-value">
        {fraction === undefined ? text : `${Math.floor(fraction * 100)} %`}
      </span>
      {wide && <span className="muted">{message || text}</span>}
    </div>
  );
}
