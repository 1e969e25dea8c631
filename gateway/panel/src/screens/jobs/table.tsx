// A table of jobs. When a job changes, only its own row renders again.
import { Link } from "@tanstack/react-router";
import { memo, useDeferredValue } from "react";
import { useTexts } from "../../i18n/index";
import { useCachedJob } from "../../live/hooks";
import { canCancel, canRetry, shortId, useJobActions } from "../../ui/job-actions";
import { JobProgress, StateBadge } from "../../ui/job-status";
import { stateName } from "../../ui/states";
import { Age } from "../../ui/time";

/** The rows that fill a tall screen, which render first. */
const FIRST_ROWS = 25;
const ROW_PX = 41;

export function JobTable({ ids, label }: { ids: readonly string[]; label: string }) {
  const texts = useTexts();
  const { fields } = texts;
  // The visible rows render first, so that the screen appears sooner.
  const shown = useDeferredValue(ids, ids.slice(0, FIRST_ROWS));
  const hiddenRows = Math.max(0, ids.length - shown.length);
  return (
    <div className="scroll">
      <table className="cards" aria-label={label}>
        <thead>
          <tr>
            <th scope="col">{fields.kind}</th>
            <th scope="col">{fields.state}</th>
            <th scope="col">{fields.progress}</th>
            <th scope="col">{fields.queue}</th>
            <th scope="col" className="number">
              {fields.age}
            </th>
            <th scope="col">{fields.worker}</th>
            <th scope="col">
              <span className="visually-hidden">{fields.actions}</span>
            </th>
          </tr>
        </thead>
        <tbody>
          {shown.map((id) => (
            <JobRow key={id} id={id} />
          ))}
          {hiddenRows > 0 && (
            // Reserves the height, so that the browser restores the scroll position.
            // biome-ignore lint/a11y/noAriaHiddenOnFocusable: an empty row is not focusable
            <tr aria-hidden="true">
              <td colSpan={7} style={{ height: hiddenRows * ROW_PX }} />
            </tr>
          )}
        </tbody>
      </table>
    </div>
  );
}

const JobRow = memo(function JobRow({ id }: { id: string }) {
  const texts = useTexts();
  const job = useCachedJob(id);
  const { isBusy, cancel, retry } = useJobActions();
  if (!job) return null;
  const { fields, actions } = texts;
  const name = `${job.spec?.kind ?? ""} ${shortId(id)}`;
  return (
    <tr>
      <td data-label={fields.kind}>
        <span>
          <Link to="/jobs/$id" params={{ id }}>
            {job.spec?.kind}
          </Link>{" "}
          <span className="muted mono">{shortId(id)}</span>
        </span>
      </td>
      <td data-label={fields.state}>
        <StateBadge state={stateName(job.state)} />
        {job.attempt > 1 && (
          <span className="muted" title={fields.attempt}>
            {" "}
            ×{job.attempt}
          </span>
        )}
      </td>
      <td data-label={fields.progress}>
        {job.error && stateName(job.state) !== "succeeded" && stateName(job.state) !== "running" ? (
          <span className="clip" title={job.error.message}>
            {job.error.message}
          </span>
        ) : (
          <JobProgress job={job} />
        )}
      </td>
      <td data-label={fields.queue}>{job.spec?.queue}</td>
      <td data-label={fields.age} className="number nowrap">
        <Age since={job.createdAt} />
      </td>
      <td data-label={fields.worker}>{job.worker}</td>
      <td data-label={fields.actions}>
        <div className="buttons end">
          {canCancel(job) && (
            <button
              type="button"
              className="small"
              disabled={isBusy}
              aria-label={`${actions.cancel} ${name}`}
              onClick={() => void cancel(id)}
            >
              {actions.cancel}
            </button>
          )}
          {canRetry(job) && (
            <button
              type="button"
              className="small"
              disabled={isBusy}
              aria-label={`${actions.retry} ${name}`}
              onClick={() => void retry(id)}
            >
              {actions.retry}
            </button>
          )}
        </div>
      </td>
    </tr>
  );
});
