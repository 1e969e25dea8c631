// Why a job does not run, in words, from what is known of it, its queue and the fleet.
import { Code, ConnectError } from "@connectrpc/connect";
import { useQuery } from "@tanstack/react-query";
import { QueueMode } from "../../gen/sentinel/admin/v1/queue_service_pb";
import type { Job } from "../../gen/sentinel/jobs/v1/job_pb";
import { StateReason } from "../../gen/sentinel/jobs/v1/job_pb";
import { millisOf, useFormat } from "../../i18n/format";
import { useWords } from "../../i18n/index";
import { useClients } from "../../rpc/context";
import { isFinal, nameOf } from "../../ui/states";

export function Why({ job }: { job: Job }) {
  const words = useWords();
  const lines = useReasons(job);
  if (lines.length === 0) return null;
  return (
    <section className="card notice" aria-label={words.job.why}>
      {lines.map((line) => (
        <p key={line}>{line}</p>
      ))}
    </section>
  );
}

function useReasons(job: Job): string[] {
  const words = useWords();
  const format = useFormat();
  const { queues, kinds } = useClients();
  const state = nameOf(job.state);
  const waits = state === "ready" || state === "scheduled";
  const name = job.spec?.queue ?? "";
  const kind = job.spec?.kind ?? "";
  const queue = useQuery({
    queryKey: ["queue", name],
    queryFn: ({ signal }) => queues.getQueue({ name }, { signal }),
    enabled: waits,
  });
  const known = useQuery({
    queryKey: ["kind", kind],
    queryFn: ({ signal }) => kinds.getKind({ name: kind }, { signal }),
    enabled: waits,
  });
  const { because } = words.job;
  const lines: string[] = [];
  const ready = millisOf(job.readyAt);
  if (isFinal(job.state)) {
    const reason = words.reasons[job.reason];
    if (reason && state !== "succeeded") lines.push(words.job.ended(words.states[state], reason));
    return lines;
  }
  if (job.cancelRequested) lines.push(because.cancelling);
  if (queue.data?.queue?.mode === QueueMode.PAUSED) lines.push(because.paused);
  const isKnownToNone = known.isError && ConnectError.from(known.error).code === Code.NotFound;
  if (waits && (isKnownToNone || known.data?.kind?.workers === 0)) lines.push(because.noWorker);
  if (state === "blocked") lines.push(because.blocked(format.number(job.pendingDependencies)));
  if (state === "scheduled" && ready !== undefined) {
    const when = format.moment(ready);
    if (job.reason === StateReason.SNOOZED) lines.push(because.snoozed(when));
    else lines.push(job.attempt > 0 ? because.retry(when) : because.due(when));
  }
  if (state === "ready" && lines.length === 0) lines.push(because.ready);
  return lines;
}
