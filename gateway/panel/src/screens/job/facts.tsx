// When, where and with which options.
import { Link } from "@tanstack/react-router";
import type { ReactNode } from "react";
import type { Job } from "../../gen/sentinel/jobs/v1/job_pb";
import { spanOf, useFormat } from "../../i18n/format";
import { useWords } from "../../i18n/index";
import { Moment, Span } from "../../ui/time";

function Pair({ name, children }: { name: string; children: ReactNode }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}

export function Facts({ job }: { job: Job }) {
  const words = useWords();
  const format = useFormat();
  const { spec } = job;
  const { fields } = words;
  if (!spec) return null;
  const labels = Object.entries(spec.labels).toSorted(([a], [b]) => a.localeCompare(b));
  const timeout = spanOf(spec.runTimeout);
  // traceparent is version-trace-span-flags.
  const trace = spec.traceparent.split("-")[1];
  return (
    <div>
      <section className="card">
        <h2>{words.job.facts}</h2>
        <dl className="pairs">
          <Pair name={fields.queue}>
            <Link to="/queues/$name" params={{ name: spec.queue }}>
              {spec.queue}
            </Link>
          </Pair>
          <Pair name={fields.attempt}>{words.job.run(job.run, job.attempt)}</Pair>
          {job.worker !== "" && <Pair name={fields.worker}>{job.worker}</Pair>}
          <Pair name={fields.created}>
            <Moment of={job.createdAt} />
          </Pair>
          {job.readyAt && (
            <Pair name={fields.due}>
              <Moment of={job.readyAt} />
            </Pair>
          )}
          {job.startedAt && (
            <Pair name={fields.started}>
              <Moment of={job.startedAt} />
            </Pair>
          )}
          {job.startedAt && (
            <Pair name={words.job.took}>
              <Span from={job.startedAt} to={job.finishedAt} />
            </Pair>
          )}
          {job.finishedAt && (
            <Pair name={fields.finished}>
              <Moment of={job.finishedAt} />
            </Pair>
          )}
          <Pair name={words.job.version}>{format.number(job.version)}</Pair>
        </dl>
      </section>
      <section className="card">
        <h2>{words.job.options}</h2>
        <dl className="pairs">
          <Pair name={fields.priority}>{spec.priority}</Pair>
          <Pair name={words.job.maxAttempts}>{spec.retry?.maxAttempts ?? 3}</Pair>
          {timeout !== undefined && <Pair name={words.job.runTimeout}>{format.span(timeout)}</Pair>}
          {spec.startDeadline && (
            <Pair name={words.job.deadline}>
              <Moment of={spec.startDeadline} />
            </Pair>
          )}
          {spec.unique && <Pair name={words.job.unique}>{spec.unique.key}</Pair>}
          {trace && (
            <Pair name={words.job.trace}>
              <code>{trace}</code>
            </Pair>
          )}
        </dl>
      </section>
      {labels.length > 0 && (
        <section className="card">
          <h2>{fields.labels}</h2>
          <p className="chips">
            {labels.map(([key, value]) => (
              <Link key={key} className="chip" to="/search" search={{ label: `${key}=${value}` }}>
                {key}={value}
              </Link>
            ))}
          </p>
        </section>
      )}
    </div>
  );
}
