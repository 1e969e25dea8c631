// The times, the options and the labels of a job.
import { Link } from "@tanstack/react-router";
import type { ReactNode } from "react";
import type { Job } from "../../gen/sentinel/jobs/v1/job_pb";
import { durationMs, useFormat } from "../../i18n/format";
import { useTexts } from "../../i18n/index";
import { printLabels } from "../../ui/filter-text";
import { DateTime, Elapsed } from "../../ui/time";
import { visible } from "../../ui/visible";

function Pair({ name, children }: { name: string; children: ReactNode }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}

export function Details({ job }: { job: Job }) {
  const texts = useTexts();
  const format = useFormat();
  const { spec } = job;
  const { fields } = texts;
  if (!spec) return null;
  const labels = Object.entries(spec.labels).toSorted(([a], [b]) => a.localeCompare(b));
  const timeout = durationMs(spec.runTimeout);
  // The format of traceparent is version-traceid-spanid-flags.
  const traceId = spec.traceparent.split("-")[1];
  return (
    <div>
      <section className="card">
        <h2>{texts.job.details}</h2>
        <dl className="pairs">
          <Pair name={fields.queue}>
            <Link to="/queues/$name" params={{ name: spec.queue }}>
              {visible(spec.queue)}
            </Link>
          </Pair>
          <Pair name={fields.attempt}>{texts.job.run(job.run, job.attempt)}</Pair>
          {job.worker !== "" && <Pair name={fields.worker}>{visible(job.worker)}</Pair>}
          <Pair name={fields.created}>
            <DateTime value={job.createdAt} />
          </Pair>
          {job.readyAt && (
            <Pair name={fields.due}>
              <DateTime value={job.readyAt} />
            </Pair>
          )}
          {job.startedAt && (
            <Pair name={fields.started}>
              <DateTime value={job.startedAt} />
            </Pair>
          )}
          {job.startedAt && (
            <Pair name={texts.job.duration}>
              <Elapsed from={job.startedAt} to={job.finishedAt} />
            </Pair>
          )}
          {job.finishedAt && (
            <Pair name={fields.finished}>
              <DateTime value={job.finishedAt} />
            </Pair>
          )}
          <Pair name={texts.job.version}>{format.number(job.version)}</Pair>
        </dl>
      </section>
      <section className="card">
        <h2>{texts.job.options}</h2>
        <dl className="pairs">
          <Pair name={fields.priority}>{spec.priority}</Pair>
          <Pair name={texts.job.maxAttempts}>{spec.retry?.maxAttempts ?? 3}</Pair>
          {timeout !== undefined && (
            <Pair name={texts.job.runTimeout}>{format.duration(timeout)}</Pair>
          )}
          {spec.startDeadline && (
            <Pair name={texts.job.deadline}>
              <DateTime value={spec.startDeadline} />
            </Pair>
          )}
          {spec.unique && <Pair name={texts.job.unique}>{visible(spec.unique.key)}</Pair>}
          {traceId && (
            <Pair name={texts.job.trace}>
              <code>{visible(traceId)}</code>
            </Pair>
          )}
        </dl>
      </section>
      {labels.length > 0 && (
        <section className="card">
          <h2>{fields.labels}</h2>
          <p className="chips">
            {labels.map(([key, value]) => (
              <Link
                key={key}
                className="chip"
                to="/search"
                search={{ label: printLabels([[key, value]]) }}
              >
                {visible(`${key}=${value}`)}
              </Link>
            ))}
          </p>
        </section>
      )}
    </div>
  );
}
