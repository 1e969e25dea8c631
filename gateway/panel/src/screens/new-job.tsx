// Enqueues a new job, or an edited copy of another job.
import { useQuery } from "@tanstack/react-query";
import { getRouteApi } from "@tanstack/react-router";
import { useEffect } from "react";
import { JobView } from "../gen/sentinel/jobs/v1/job_pb";
import { useTexts } from "../i18n/index";
import { useClients } from "../rpc/context";
import { ErrorMessage, Loading } from "../ui/feedback";
import { shortId } from "../ui/job-actions";
import { draftFromJob, emptyDraft } from "./new-job/draft";
import { NewJobForm } from "./new-job/form";

const route = getRouteApi("/new");

export function NewJobScreen() {
  const texts = useTexts();
  const { jobs, kinds, queues } = useClients();
  const search = route.useSearch();
  const from = search.from ?? "";
  const copied = useQuery({
    queryKey: ["copy", from],
    queryFn: ({ signal }) => jobs.get({ id: from, view: JobView.FULL }, { signal }),
    enabled: from !== "",
    staleTime: 0,
    gcTime: 0,
  });
  const knownKinds = useQuery({
    queryKey: ["kinds"],
    queryFn: ({ signal }) => kinds.listKinds({ pageSize: 1000 }, { signal }),
  });
  const knownQueues = useQuery({
    queryKey: ["queues", "first"],
    queryFn: ({ signal }) => queues.listQueues({ pageSize: 1000 }, { signal }),
  });
  useEffect(() => {
    document.title = `${texts.newJob.title} · ${texts.appName}`;
  }, [texts]);

  if (copied.isError)
    return <ErrorMessage error={copied.error} onRetry={() => void copied.refetch()} />;
  const isLoading =
    (from !== "" && copied.isPending) || knownKinds.isPending || knownQueues.isPending;
  if (isLoading) return <Loading />;
  const allKinds = knownKinds.data?.kinds ?? [];
  const allQueues = knownQueues.data?.queues.map(({ name }) => name) ?? [];
  const draft = copied.data?.job
    ? draftFromJob(copied.data.job)
    : emptyDraft(search.queue ?? allQueues[0] ?? "default", search.kind ?? firstKind(allKinds));
  return (
    <>
      <div className="head">
        <div>
          <h1>{texts.newJob.title}</h1>
          {from !== "" && <p className="muted">{texts.newJob.copyOf(shortId(from))}</p>}
        </div>
      </div>
      <NewJobForm
        key={`${from} ${search.kind} ${search.queue}`}
        draft={draft}
        kinds={allKinds}
        queues={allQueues}
      />
    </>
  );
}

/** Returns the kind to preselect. Prefers one with a worker, and then one with an example. */
function firstKind(
  kinds: readonly { name: string; inputSchema: string; workers: number }[],
): string {
  const live = kinds.filter(({ workers }) => workers > 0);
  const withExample = live.find(({ inputSchema }) => inputSchema.includes('"examples"'));
  return (
    (withExample ?? live.find(({ inputSchema }) => inputSchema !== "") ?? live[0] ?? kinds[0])
      ?.name ?? ""
  );
}
