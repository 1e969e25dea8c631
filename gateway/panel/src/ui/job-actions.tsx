// Actions on a single job. An action that the table of rules does not allow at once asks first.
// The question belongs to the job on which it was asked, wherever its row is meanwhile.
import { type ReactNode, useCallback, useRef, useState } from "react";
import type { Job } from "../gen/sentinel/jobs/v1/job_pb";
import { useTexts } from "../i18n/index";
import { useCachedJob, useHub } from "../live/hooks";
import { useClients } from "../rpc/context";
import { type ActionName, question, ruleOf } from "./action-table";
import { Dialog } from "./dialog";
import { useNotifications } from "./feedback";
import { StateBadge } from "./job-status";
import { newRequestId } from "./request-id";
import { isTerminal, stateName } from "./states";
import { visible } from "./visible";

/** Returns whether the action is possible in the current state of the job. */
export const isPossible = (action: ActionName, job: Job): boolean =>
  ruleOf(action, stateName(job.state)) !== "never" && !(action === "cancel" && job.cancelRequested);

/** A job can be changed only before its first attempt. */
export const canUpdate = (job: Job): boolean =>
  !isTerminal(job.state) &&
  stateName(job.state) !== "running" &&
  job.attempt === 0 &&
  job.run === 1;

/** Returns the random end of a UUID version 7. Its beginning is a timestamp, which jobs share. */
export const shortId = (id: string): string => id.slice(-8);

interface Asked {
  action: ActionName;
  job: Job;
  text: string;
}

interface JobActionsState {
  /** Runs the action, after a question where the table of rules asks. */
  start(action: ActionName, job: Job): void;
  isBusy(id: string): boolean;
  /** The open question. It is rendered outside of the list, so that it stays when its row goes. */
  dialog: ReactNode;
}

export function useJobActions(onDeleted?: () => void): JobActionsState {
  const { jobs } = useClients();
  const hub = useHub();
  const notifications = useNotifications();
  const texts = useTexts();
  const [busy, setBusy] = useState<ReadonlySet<string>>(new Set());
  const [asked, setAsked] = useState<Asked>();
  const deleted = useRef(onDeleted);
  deleted.current = onDeleted;

  const run = useCallback(
    async (action: ActionName, id: string) => {
      setBusy((before) => new Set(before).add(id));
      try {
        const request = { id, requestId: newRequestId() };
        if (action === "delete") await jobs.delete(request);
        else {
          const { job } = await jobs[action](request);
          // All screens show the changed job at once.
          if (job) hub.put(job);
        }
        notifications.success(texts.jobs.done[action](shortId(id)));
        if (action === "delete") deleted.current?.();
      } catch (error) {
        notifications.error(error);
      } finally {
        setBusy((before) => new Set([...before].filter((one) => one !== id)));
      }
    },
    [jobs, hub, notifications, texts],
  );
  const start = useCallback(
    (action: ActionName, job: Job) => {
      const text = question(action, stateName(job.state), texts);
      if (text === undefined) void run(action, job.id);
      else setAsked({ action, job, text });
    },
    [run, texts],
  );
  return {
    start,
    isBusy: (id) => busy.has(id),
    dialog: asked && (
      <Question
        asked={asked}
        onConfirm={() => void run(asked.action, asked.job.id)}
        onClose={() => setAsked(undefined)}
      />
    ),
  };
}

/** Asks about one job. When the job changes meanwhile, the question does not apply any more. */
function Question({
  asked: { action, job, text },
  onConfirm,
  onClose,
}: {
  asked: Asked;
  onConfirm: () => void;
  onClose: () => void;
}) {
  const texts = useTexts();
  const now = useCachedJob(job.id) ?? job;
  const hasChanged = now.state !== job.state || now.run !== job.run || !isPossible(action, now);
  return (
    <Dialog
      title={texts.confirm.titles[action]}
      onClose={onClose}
      actions={
        <button
          type="button"
          className={action === "retry" ? "primary" : "danger"}
          disabled={hasChanged}
          onClick={(event) => {
            onConfirm();
            // Closing the element, and not only unmounting it, restores the focus.
            event.currentTarget.closest("dialog")?.close();
          }}
        >
          {texts.actions[action]}
        </button>
      }
    >
      <p>
        <span className="strong">{visible(job.spec?.kind ?? "")}</span>{" "}
        <span className="mono muted">{job.id}</span> <StateBadge state={stateName(now.state)} />
      </p>
      <p role="status">
        {hasChanged ? texts.confirm.changed(texts.states[stateName(now.state)]) : text}
      </p>
    </Dialog>
  );
}
