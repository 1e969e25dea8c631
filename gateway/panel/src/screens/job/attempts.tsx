// Every attempt that began, newest first: a timeline with its errors.
import { useQuery } from "@tanstack/react-query";
import type { Job } from "../../gen/sentinel/jobs/v1/job_pb";
import { AttemptOutcome } from "../../gen/sentinel/jobs/v1/job_service_pb";
import { useWords } from "../../i18n/index";
import { useClients } from "../../rpc/context";
import { Failure } from "../../ui/feedback";
import { phaseOf } from "../../ui/phase";
import { Moment, Span } from "../../ui/time";

const SHOWN_MAX = 100;

export function Attempts({ job }: { job: Job }) {
  const words = useWords();
  const { jobs } = useClients();
  const { id } = job;
  const list = useQuery({
    queryKey: ["attempts", id, phaseOf(job)],
    queryFn: ({ signal }) => jobs.listAttempts({ id, pageSize: SHOWN_MAX }, { signal }),
    placeholderData: (before) => before,
    // A job that was handed back is in a phase that it was in before, with fewer attempts.
    gcTime: 0,
  });
  return (
    <section className="card">
      <h2>{words.job.attempts}</h2>
      {list.isError && <Failure error={list.error} again={() => void list.refetch()} />}
      {list.data?.attempts.length === 0 && <p className="quiet">{words.job.noAttempts}</p>}
      <ol className="timeline">
        {list.data?.attempts.map((one) => (
          <li key={one.epoch.toString()}>
            <div>
              <p>
                <span className="strong">{words.job.run(one.run, one.attempt)}</span>{" "}
                {words.job.outcomes[one.outcome] ?? ""}{" "}
                <span className="quiet">
                  <Span from={one.startedAt} to={one.endedAt} /> · {one.worker}
                </span>
              </p>
              <p className="quiet">
                <Moment of={one.startedAt} />
              </p>
              {one.error && one.outcome !== AttemptOutcome.SUCCEEDED && (
                <pre tabIndex={0}>{one.error.message}</pre>
              )}
            </div>
          </li>
        ))}
      </ol>
    </section>
  );
}
