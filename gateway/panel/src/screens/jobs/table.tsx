// A table of jobs. When a job changes, only its own row renders again. Rows and buttons stand
// still while they are held.
import { Link } from "@tanstack/react-router";
import { memo, useDeferredValue } from "react";
import type { Job } from "../../gen/sentinel/jobs/v1/job_pb";
import { useTexts } from "../../i18n/index";
import { useCachedJob } from "../../live/hooks";
import { ActionButtons } from "../../ui/action-button";
import type { ActionName } from "../../ui/action-table";
import { shortId, useJobActions } from "../../ui/job-actions";
import { JobProgress, StateBadge } from "../../ui/job-status";
import { stateName } from "../../ui/states";
import { Age } from "../../ui/time";
import { visible } from "../../ui/visible";

/** The rows that fill a tall screen, which render first. */
const FIRST_ROWS = 25;
const ROW_PX = 41;

export function JobTable({
  ids,
  label,
  isHeld,
}: {
  ids: readonly string[];
  label: string;
  isHeld: boolean;
}) {
  const { fields } = useTexts();
  const { start, isBusy, dialog } = useJobActions();
  // The visible rows render first, so that the screen appears sooner.
  const shown = useDeferredValue(ids, ids.slice(0, FIRST_ROWS));
  const hiddenRows = Math.max(0, ids.length - shown.length);
  return (
    <>
      <div className="scroll">
        <table className="cards steady" aria-label={label}>
          <thead>
            <tr>
              <th scope="col" className="wide-column">
                {fields.kind}
              </th>
              <th scope="col" className="state-column">
                {fields.state}
              </th>
              <th scope="col" className="wide-column">
                {fields.progress}
              </th>
              <th scope="col">{fields.queue}</th>
              <th scope="col" className="number narrow-column">
                {fields.age}
              </th>
              <th scope="col">{fields.worker}</th>
              <th scope="col" className="narrow-column">
                <span className="visually-hidden">{fields.actions}</span>
              </th>
            </tr>
          </thead>
          <tbody>
            {shown.map((id) => (
              <JobRow key={id} id={id} isHeld={isHeld} isBusy={isBusy(id)} onAction={start} />
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
      {dialog}
    </>
  );
}

const JobRow = memo(function JobRow({
  id,
  isHeld,
  isBusy,
  onAction,
}: {
  id: string;
  isHeld: boolean;
  isBusy: boolean;
  onAction: (action: ActionName, job: Job) => void;
}) {
  const { fields } = useTexts();
  const job = useCachedJob(id);
  if (!job) return null;
  const name = `${visible(job.spec?.kind ?? "")} ${shortId(id)}`;
  const error = visible(job.error?.message ?? "");
  return (
    <tr>
      <td data-label={fields.kind}>
        <span title={name}>
          <Link to="/jobs/$id" params={{ id }}>
            {visible(job.spec?.kind ?? "")}
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
          <span className="clip" title={error}>
            {error}
          </span>
        ) : (
          <JobProgress job={job} />
        )}
      </td>
      <td data-label={fields.queue}>{visible(job.spec?.queue ?? "")}</td>
      <td data-label={fields.age} className="number nowrap">
        <Age since={job.createdAt} />
      </td>
      <td data-label={fields.worker} title={visible(job.worker)}>
        {visible(job.worker)}
      </td>
      <td data-label={fields.actions}>
        <div className="buttons end">
          <ActionButtons
            job={job}
            name={name}
            actions={["cancel", "retry"]}
            isHeld={isHeld}
            isBusy={isBusy}
            onAction={onAction}
          />
        </div>
      </td>
    </tr>
  );
});
