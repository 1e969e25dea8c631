// Actions on a single job.
import { useCallback, useState } from "react";
import type { Job } from "../gen/sentinel/jobs/v1/job_pb";
import { useTexts } from "../i18n/index";
import { useHub } from "../live/hooks";
import { useClients } from "../rpc/context";
import { useNotifications } from "./feedback";
import { newRequestId } from "./request-id";
import { isTerminal, stateName } from "./states";

export const canCancel = (job: Job): boolean => !isTerminal(job.state) && !job.cancelRequested;
export const canRetry = (job: Job): boolean => isTerminal(job.state);
export const canRunNow = (job: Job): boolean => stateName(job.state) === "scheduled";
/** A job can be changed only before its first attempt. */
export const canUpdate = (job: Job): boolean =>
  !isTerminal(job.state) &&
  stateName(job.state) !== "running" &&
  job.attempt === 0 &&
  job.run === 1;
export const canDelete = (job: Job): boolean => stateName(job.state) !== "running";

/** Returns the actions. The hub gets the changed job, so that all screens show it at once. */
export function useJobActions(): {
  isBusy: boolean;
  cancel(id: string): Promise<void>;
  retry(id: string): Promise<void>;
  runNow(id: string): Promise<void>;
} {
  const { jobs } = useClients();
  const hub = useHub();
  const notifications = useNotifications();
  const texts = useTexts();
  const [isBusy, setBusy] = useState(false);
  const run = useCallback(
    async (call: () => Promise<{ job?: Job | undefined }>, successText: string) => {
      setBusy(true);
      try {
        const { job } = await call();
        if (job) hub.put(job);
        notifications.success(successText);
      } catch (error) {
        notifications.error(error);
      } finally {
        setBusy(false);
      }
    },
    [hub, notifications],
  );
  const request = (id: string) => ({ id, requestId: newRequestId() });
  return {
    isBusy,
    cancel: (id) => run(() => jobs.cancel(request(id)), texts.jobs.cancelRequested(shortId(id))),
    retry: (id) => run(() => jobs.retry(request(id)), texts.jobs.retried(shortId(id))),
    runNow: (id) => run(() => jobs.runNow(request(id)), texts.jobs.runRequested(shortId(id))),
  };
}

/** Returns the random end of a UUID version 7. Its beginning is a timestamp, which jobs share. */
export const shortId = (id: string): string => id.slice(-8);
