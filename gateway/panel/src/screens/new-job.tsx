// Enqueues a job by hand, or a changed copy of another one.
import { useQuery } from "@tanstack/react-query";
import { useEffect } from "react";
import { JobView } from "../gen/sentinel/jobs/v1/job_pb";
import { useWords } from "../i18n/index";
import { newRoute } from "../router";
import { useClients } from "../rpc/context";
import { short } from "../ui/act";
import { Failure, Loading } from "../ui/feedback";
import { draftOf, emptyDraft } from "./new-job/draft";
import { NewJobForm } from "./new-job/form";

export function NewJob() {
  const words = useWords();
  const { jobs, kinds, queues } = useClients();
  const search = newRoute.useSearch();
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
    document.title = `${words.newJob.title} · ${words.appName}`;
  }, [words]);

  if (copied.isError) return <Failure error={copied.error} again={() => void copied.refetch()} />;
  const isWaiting =
    (from !== "" && copied.isPending) || knownKinds.isPending || knownQueues.isPending;
  if (isWaiting) return <Loading />;
  const allKinds = knownKinds.data?.kinds ?? [];
  const allQueues = knownQueues.data?.queues.map(({ name }) => name) ?? [];
  const draft = copied.data?.job
    ? draftOf(copied.data.job)
    : emptyDraft(search.queue ?? allQueues[0] ?? "default", search.kind ?? firstKind(allKinds));
  return (
    <>
      <div className="head">
        <div>
          <h1>{words.newJob.title}</h1>
          {from !== "" && <p className="quiet">{words.newJob.copyOf(short(from))}</p>}
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

/** One that shows something: with a schema, and with a worker for it. */
function firstKind(
  kinds: readonly { name: string; inputSchema: string; workers: number }[],
): string {
  const live = kinds.filter(({ workers }) => workers > 0);
  const told = live.find(({ inputSchema }) => inputSchema.includes('"examples"'));
  return (
    (told ?? live.find(({ inputSchema }) => inputSchema !== "") ?? live[0] ?? kinds[0])?.name ?? ""
  );
}
