// The actions that are possible in the current state of a job.
import { Link, useNavigate } from "@tanstack/react-router";
import { useState } from "react";
import type { Job } from "../../gen/sentinel/jobs/v1/job_pb";
import { useTexts } from "../../i18n/index";
import { useClients } from "../../rpc/context";
import { Confirm } from "../../ui/dialog";
import { useNotifications } from "../../ui/feedback";
import {
  canCancel,
  canDelete,
  canRetry,
  canRunNow,
  canUpdate,
  shortId,
  useJobActions,
} from "../../ui/job-actions";
import { newRequestId } from "../../ui/request-id";
import { Edit } from "./edit";

export function JobActions({ job }: { job: Job }) {
  const texts = useTexts();
  const { jobs } = useClients();
  const notifications = useNotifications();
  const navigate = useNavigate();
  const { isBusy, cancel, retry, runNow } = useJobActions();
  const [dialog, setDialog] = useState<"delete" | "edit">();
  const { actions } = texts;

  async function remove() {
    try {
      await jobs.delete({ id: job.id, requestId: newRequestId() });
      notifications.success(texts.job.deleted(shortId(job.id)));
      await navigate({ to: "/" });
    } catch (error) {
      notifications.error(error);
    }
  }

  return (
    <div className="buttons">
      {canCancel(job) && (
        <button type="button" disabled={isBusy} onClick={() => void cancel(job.id)}>
          {actions.cancel}
        </button>
      )}
      {canRetry(job) && (
        <button
          type="button"
          className="primary"
          disabled={isBusy}
          onClick={() => void retry(job.id)}
        >
          {actions.retry}
        </button>
      )}
      {canRunNow(job) && (
        <button type="button" disabled={isBusy} onClick={() => void runNow(job.id)}>
          {actions.runNow}
        </button>
      )}
      {canUpdate(job) && (
        <button type="button" onClick={() => setDialog("edit")}>
          {actions.edit}
        </button>
      )}
      <Link className="button" to="/new" search={{ from: job.id }}>
        {actions.duplicate}
      </Link>
      {canDelete(job) && (
        <button type="button" className="danger" onClick={() => setDialog("delete")}>
          {actions.delete}
        </button>
      )}
      {dialog === "delete" && (
        <Confirm
          title={texts.job.deleteTitle}
          text={texts.job.deleteText}
          action={actions.delete}
          onConfirm={() => void remove()}
          onClose={() => setDialog(undefined)}
        />
      )}
      {dialog === "edit" && <Edit job={job} onClose={() => setDialog(undefined)} />}
    </div>
  );
}
