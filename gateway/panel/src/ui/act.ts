// What can be done to one job, and what it came to.
import { useCallback, useState } from "react";
import type { Job } from "../gen/sentinel/jobs/v1/job_pb";
import { useWords } from "../i18n/index";
import { useHub } from "../live/hooks";
import { useClients } from "../rpc/context";
import { useNotes } from "./feedback";
import { requestId } from "./request-id";
import { isFinal, nameOf } from "./states";

export const mayCancel = (job: Job): boolean => !isFinal(job.state) && !job.cancelRequested;
export const mayRetry = (job: Job): boolean => isFinal(job.state);
export const mayRunNow = (job: Job): boolean => nameOf(job.state) === "scheduled";
/** Only before its first start. */
export const mayUpdate = (job: Job): boolean =>
  !isFinal(job.state) && nameOf(job.state) !== "running" && job.attempt === 0 && job.run === 1;
export const mayDelete = (job: Job): boolean => nameOf(job.state) !== "running";

/** Cancel, retry and run now; the answer goes to the hub, so every screen has it at once. */
export function useActions(): {
  isBusy: boolean;
  cancel(id: string): Promise<void>;
  retry(id: string): Promise<void>;
  runNow(id: string): Promise<void>;
} {
  const { jobs } = useClients();
  const hub = useHub();
  const notes = useNotes();
  const words = useWords();
  const [isBusy, setBusy] = useState(false);
  const act = useCallback(
    async (call: () => Promise<{ job?: Job | undefined }>, said: string) => {
      setBusy(true);
      try {
        const { job } = await call();
        if (job) hub.put(job);
        notes.good(said);
      } catch (error) {
        notes.bad(error);
      } finally {
        setBusy(false);
      }
    },
    [hub, notes],
  );
  return {
    isBusy,
    cancel: (id) =>
      act(() => jobs.cancel({ id, requestId: requestId() }), words.tasks.cancelled(short(id))),
    retry: (id) =>
      act(() => jobs.retry({ id, requestId: requestId() }), words.tasks.retried(short(id))),
    runNow: (id) =>
      act(() => jobs.runNow({ id, requestId: requestId() }), words.tasks.retried(short(id))),
  };
}

/** The random end of a UUID of version 7: the beginning is the time. */
export const short = (id: string): string => id.slice(-8);
