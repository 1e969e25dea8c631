// One job: what it is, where it stands and why, what it was given and what came of it.
import { Code, ConnectError } from "@connectrpc/connect";
import { useQuery } from "@tanstack/react-query";
import { useEffect, useMemo } from "react";
import type { Job } from "../gen/sentinel/jobs/v1/job_pb";
import { JobView } from "../gen/sentinel/jobs/v1/job_pb";
import { useWords } from "../i18n/index";
import { useHub, useJob } from "../live/hooks";
import { jobRoute } from "../router";
import { useClients } from "../rpc/context";
import { Bytes } from "../ui/bytes";
import { Empty, Failure, Loading } from "../ui/feedback";
import { JobProgress, StateMark } from "../ui/marks";
import { useCalm } from "../ui/phase";
import { nameOf } from "../ui/states";
import { JobActions } from "./job/actions";
import { Attempts } from "./job/attempts";
import { Dependencies } from "./job/dependencies";
import { Facts } from "./job/facts";
import { Log } from "./job/log";
import { Output } from "./job/output";
import { Why } from "./job/why";

/** A handler may store a checkpoint many times a second. */
const CALM_MS = 2_000;

export function JobScreen() {
  const { id } = jobRoute.useParams();
  // Another job is another screen: nothing of the one before is shown under its name.
  return <OneJob key={id} id={id} />;
}

function OneJob({ id }: { id: string }) {
  const words = useWords();
  const { jobs } = useClients();
  const hub = useHub();
  const live = useJob(id, { logs: true });
  // Payload, result and checkpoint come with the whole job alone.
  const version = useCalm(live?.version.toString() ?? "", CALM_MS);
  const whole = useQuery({
    queryKey: ["job", id, version],
    queryFn: async ({ signal }) => {
      const { job } = await jobs.get({ id, view: JobView.FULL }, { signal });
      if (job) hub.put(job);
      return job;
    },
    placeholderData: (before) => before,
  });
  const job = useMemo(() => merged(whole.data, live), [whole.data, live]);
  const kind = job?.spec?.kind;
  useEffect(() => {
    document.title = `${kind ?? words.job.title} · ${words.appName}`;
  }, [kind, words]);

  if (!job) {
    if (whole.isError) {
      const isUnknown = ConnectError.from(whole.error).code === Code.NotFound;
      return isUnknown ? (
        <Empty title={words.job.unknown} />
      ) : (
        <Failure error={whole.error} again={() => void whole.refetch()} />
      );
    }
    return <Loading />;
  }
  const { spec } = job;
  return (
    <>
      <div className="head">
        <div>
          <h1>{spec?.kind}</h1>
          <p className="quiet mono">{job.id}</p>
        </div>
        <StateMark state={nameOf(job.state)} />
        <JobActions job={job} />
      </div>
      <Why job={job} />
      <div className="job-grid">
        <div>
          {job.progress && (
            <section className="card" aria-label={words.fields.progress}>
              <JobProgress job={job} wide />
            </section>
          )}
          {job.error && nameOf(job.state) !== "succeeded" && (
            <section className="card">
              <h2>{words.fields.error}</h2>
              <pre tabIndex={0}>{job.error.message}</pre>
              {job.error.code !== "" && <p className="quiet mono">{job.error.code}</p>}
            </section>
          )}
          <Dependencies job={job} />
          <Bytes title={words.fields.payload} bytes={spec?.payload} type={spec?.contentType} />
          <Bytes title={words.fields.result} bytes={job.result} type="" />
          <Bytes title={words.fields.checkpoint} bytes={job.checkpoint} type="" />
          <Attempts job={job} />
          <Log job={job} />
          <Output job={job} />
        </div>
        <Facts job={job} />
      </div>
    </>
  );
}

/** What is live, with the large parts of the whole one. */
function merged(whole: Job | undefined, live: Job | undefined): Job | undefined {
  if (!whole || !live) return whole ?? live;
  if (live.version < whole.version) return whole;
  const spec =
    live.spec && whole.spec
      ? { ...live.spec, payload: whole.spec.payload }
      : (live.spec ?? whole.spec);
  const result =
    live.result.length > 0 || live.version !== whole.version ? live.result : whole.result;
  return { ...live, ...(spec && { spec }), result, checkpoint: whole.checkpoint };
}
