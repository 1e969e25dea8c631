// Jobs as rows. Each row draws itself anew when its own job changes, and nothing else does.
import { Link } from "@tanstack/react-router";
import { memo, useDeferredValue } from "react";
import { useWords } from "../../i18n/index";
import { useKnownJob } from "../../live/hooks";
import { mayCancel, mayRetry, short, useActions } from "../../ui/act";
import { JobProgress, StateMark } from "../../ui/marks";
import { nameOf } from "../../ui/states";
import { Age } from "../../ui/time";

/** As many as a tall screen shows at once, and how high each is there, in pixels. */
const FIRST_ROWS = 25;
const ROW = 41;

export function TaskTable({ ids, label }: { ids: readonly string[]; label: string }) {
  const words = useWords();
  const { fields } = words;
  // Whoever comes here waits for what is in view, not for all of it.
  const shown = useDeferredValue(ids, ids.slice(0, FIRST_ROWS));
  const left = Math.max(0, ids.length - shown.length);
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
            <TaskRow key={id} id={id} />
          ))}
          {left > 0 && (
            // Whoever comes back finds the place again.
            <tr aria-hidden="true">
              <td colSpan={7} style={{ height: left * ROW }} />
            </tr>
          )}
        </tbody>
      </table>
    </div>
  );
}

const TaskRow = memo(function TaskRow({ id }: { id: string }) {
  const words = useWords();
  const job = useKnownJob(id);
  const { isBusy, cancel, retry } = useActions();
  if (!job) return null;
  const { fields, actions } = words;
  const name = `${job.spec?.kind ?? ""} ${short(id)}`;
  return (
    <tr>
      <td data-label={fields.kind}>
        <span>
          <Link to="/jobs/$id" params={{ id }}>
            {job.spec?.kind}
          </Link>{" "}
          <span className="quiet mono">{short(id)}</span>
        </span>
      </td>
      <td data-label={fields.state}>
        <StateMark state={nameOf(job.state)} />
        {job.attempt > 1 && (
          <span className="quiet" title={fields.attempt}>
            {" "}
            ×{job.attempt}
          </span>
        )}
      </td>
      <td data-label={fields.progress}>
        {job.error && nameOf(job.state) !== "succeeded" && nameOf(job.state) !== "running" ? (
          <span className="clip" title={job.error.message}>
            {job.error.message}
          </span>
        ) : (
          <JobProgress job={job} />
        )}
      </td>
      <td data-label={fields.queue}>{job.spec?.queue}</td>
      <td data-label={fields.age} className="number nowrap">
        <Age of={job.createdAt} />
      </td>
      <td data-label={fields.worker}>{job.worker}</td>
      <td data-label={fields.actions}>
        <div className="buttons end">
          {mayCancel(job) && (
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
          {mayRetry(job) && (
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
