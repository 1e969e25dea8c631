// Explains why a job waits, or why it reached its terminal state.
import { Code, ConnectError } from "@connectrpc/connect";
import { useQuery } from "@tanstack/react-query";
import { QueueMode } from "../../gen/sentinel/admin/v1/queue_service_pb";
import type { Job } from "../../gen/sentinel/jobs/v1/job_pb";
import { StateReason } from "../../gen/sentinel/jobs/v1/job_pb";
import { timestampMs, useFormat } from "../../i18n/format";
import { useTexts } from "../../i18n/index";
import { useClients } from "../../rpc/context";
import { isTerminal, stateName } from "../../ui/states";

export function StatusReasons({ job }: { job: Job }) {
  const texts = useTexts();
  const reasons = useReasons(job);
  if (reasons.length === 0) return null;
  return (
    <section className="card notice" aria-label={texts.job.statusReasons}>
      {reasons.map((reason) => (
        <p key={reason}>{reason}</p>
      ))}
    </section>
  );
}

function useReasons(job: Job): string[] {
  const texts = useTexts();
  const format = useFormat();
  const { queues, kinds } = useClients();
  const state = stateName(job.state);
  const isWaiting = state === "ready" || state === "scheduled";
  const queueName = job.spec?.queue ?? "";
  const kindName = job.spec?.kind ?? "";
  const queue = useQuery({
    queryKey: ["queue", queueName],
    queryFn: ({ signal }) => queues.getQueue({ name: queueName }, { signal }),
    enabled: isWaiting,
  });
  const kind = useQuery({
    queryKey: ["kind", kindName],
    queryFn: ({ signal }) => kinds.getKind({ name: kindName }, { signal }),
    enabled: isWaiting,
  });
  const { because } = texts.job;
  const reasons: string[] = [];
  const readyAt = timestampMs(job.readyAt);
  if (isTerminal(job.state)) {
    const reason = texts.reasons[job.reason];
    if (reason && state !== "succeeded") {
      reasons.push(texts.job.finished(texts.states[state], reason));
    }
    return reasons;
  }
  if (job.cancelRequested) reasons.push(because.cancelling);
  if (queue.data?.queue?.mode === QueueMode.PAUSED) reasons.push(because.paused);
  const isUnknownKind = kind.isError && ConnectError.from(kind.error).code === Code.NotFound;
  if (isWaiting && (isUnknownKind || kind.data?.kind?.workers === 0)) {
    reasons.push(because.noWorker);
  }
  if (state === "blocked") reasons.push(because.blocked(format.number(job.pendingDependencies)));
  if (state === "scheduled" && readyAt !== undefined) {
    const when = format.dateTime(readyAt);
    if (job.reason === StateReason.SNOOZED) reasons.push(because.snoozed(when));
    else reasons.push(job.attempt > 0 ? because.retry(when) : because.due(when));
  }
  if (state === "ready" && reasons.length === 0) reasons.push(because.ready);
  return reasons;
}
