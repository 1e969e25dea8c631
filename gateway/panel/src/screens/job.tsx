// The screen of one job: its state, details, payload, result, attempts, log and output.
import { Code, ConnectError } from "@connectrpc/connect";
import { useQuery } from "@tanstack/react-query";
import { getRouteApi } from "@tanstack/react-router";
import { useEffect, useMemo } from "react";
import type { Job } from "../gen/sentinel/jobs/v1/job_pb";
import { JobView } from "../gen/sentinel/jobs/v1/job_pb";
import { useTexts } from "../i18n/index";
import { useHub, useJob } from "../live/hooks";
import { useClients } from "../rpc/context";
import { Bytes } from "../ui/bytes";
import { Empty, ErrorMessage, Loading } from "../ui/feedback";
import { JobProgress, StateBadge } from "../ui/job-status";
import { stateName } from "../ui/states";
import { useThrottled } from "../ui/throttle";
import { visible, visibleLines } from "../ui/visible";
import { JobActions } from "./job/actions";
import { Attempts } from "./job/attempts";
import { Dependencies } from "./job/dependencies";
import { Details } from "./job/details";
import { Log } from "./job/log";
import { Output } from "./job/output";
import { StatusReasons } from "./job/status-reasons";

/** A handler may store checkpoints many times per second, and each is a new version. */
const FETCH_INTERVAL_MS = 2_000;

const route = getRouteApi("/jobs/$id");

export function JobScreen() {
  const { id } = route.useParams();
  // The key resets all state when the user opens another job.
  return <OneJob key={id} id={id} />;
}

function OneJob({ id }: { id: string }) {
  const texts = useTexts();
  const { jobs } = useClients();
  const hub = useHub();
  const live = useJob(id, { logs: true });
  // The stream does not include payload, result and checkpoint.
  const version = useThrottled(live?.version.toString() ?? "", FETCH_INTERVAL_MS);
  const full = useQuery({
    queryKey: ["job", id, version],
    queryFn: async ({ signal }) => {
      const { job } = await jobs.get({ id, view: JobView.FULL }, { signal });
      if (job) hub.put(job);
      return job;
    },
    placeholderData: (previous) => previous,
  });
  const job = useMemo(() => mergeJobs(full.data, live), [full.data, live]);
  const kind = job?.spec && visible(job.spec.kind);
  useEffect(() => {
    document.title = `${kind ?? texts.job.title} · ${texts.appName}`;
  }, [kind, texts]);

  if (!job) {
    if (full.isError) {
      const isUnknown = ConnectError.from(full.error).code === Code.NotFound;
      return isUnknown ? (
        <Empty title={texts.job.unknown} />
      ) : (
        <ErrorMessage error={full.error} onRetry={() => void full.refetch()} />
      );
    }
    return <Loading />;
  }
  const { spec } = job;
  return (
    <>
      <div className="head">
        <div>
          <h1>{kind}</h1>
          <p className="muted mono">{job.id}</p>
        </div>
        <StateBadge state={stateName(job.state)} />
        <JobActions job={job} />
      </div>
      <StatusReasons job={job} />
      <div className="job-grid">
        <div>
          {job.progress && (
            <section className="card" aria-label={texts.fields.progress}>
              <JobProgress job={job} wide />
            </section>
          )}
          {job.error && stateName(job.state) !== "succeeded" && (
            <section className="card">
              <h2>{texts.fields.error}</h2>
              <pre tabIndex={0}>{visibleLines(job.error.message)}</pre>
              {job.error.code !== "" && <p className="muted mono">{visible(job.error.code)}</p>}
            </section>
          )}
          <Dependencies job={job} />
          <Bytes title={texts.fields.payload} bytes={spec?.payload} type={spec?.contentType} />
          <Bytes title={texts.fields.result} bytes={job.result} type="" />
          <Bytes title={texts.fields.checkpoint} bytes={job.checkpoint} type="" />
          <Attempts job={job} />
          <Log job={job} />
          <Output job={job} />
        </div>
        <Details job={job} />
      </div>
    </>
  );
}

/** Returns the live job with the fields that only the full job has. */
function mergeJobs(full: Job | undefined, live: Job | undefined): Job | undefined {
  if (!full || !live) return full ?? live;
  if (live.version < full.version) return full;
  const spec =
    live.spec && full.spec
      ? { ...live.spec, payload: full.spec.payload }
      : (live.spec ?? full.spec);
  const result =
    live.result.length > 0 || live.version !== full.version ? live.result : full.result;
  return { ...live, ...(spec && { spec }), result, checkpoint: full.checkpoint };
}
