// The attempts of a job, newest first, with their errors.
import { useQuery } from "@tanstack/react-query";
import type { Job } from "../../gen/sentinel/jobs/v1/job_pb";
import { AttemptOutcome } from "../../gen/sentinel/jobs/v1/job_service_pb";
import { useTexts } from "../../i18n/index";
import { useClients } from "../../rpc/context";
import { attemptKey } from "../../ui/attempt-key";
import { ErrorMessage } from "../../ui/feedback";
import { DateTime, Elapsed } from "../../ui/time";
import { visible, visibleLines } from "../../ui/visible";

const ATTEMPTS_MAX = 100;

export function Attempts({ job }: { job: Job }) {
  const texts = useTexts();
  const { jobs } = useClients();
  const { id } = job;
  const list = useQuery({
    queryKey: ["attempts", id, attemptKey(job)],
    queryFn: ({ signal }) => jobs.listAttempts({ id, pageSize: ATTEMPTS_MAX }, { signal }),
    placeholderData: (previous) => previous,
    // Not cached: a released attempt returns the job to an earlier key with other attempts.
    gcTime: 0,
  });
  return (
    <section className="card">
      <h2>{texts.job.attempts}</h2>
      {list.isError && <ErrorMessage error={list.error} onRetry={() => void list.refetch()} />}
      {list.data?.attempts.length === 0 && <p className="muted">{texts.job.noAttempts}</p>}
      <ol className="timeline">
        {list.data?.attempts.map((one) => (
          <li key={one.epoch.toString()}>
            <div>
              <p>
                <span className="strong">{texts.job.run(one.run, one.attempt)}</span>{" "}
                {texts.job.outcomes[one.outcome] ?? ""}{" "}
                <span className="muted">
                  <Elapsed from={one.startedAt} to={one.finishedAt} /> · {visible(one.worker)}
                </span>
              </p>
              <p className="muted">
                <DateTime value={one.startedAt} />
              </p>
              {one.error && one.outcome !== AttemptOutcome.SUCCEEDED && (
                <pre tabIndex={0}>{visibleLines(one.error.message)}</pre>
              )}
            </div>
          </li>
        ))}
      </ol>
    </section>
  );
}
