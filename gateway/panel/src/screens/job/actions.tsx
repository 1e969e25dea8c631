// What can be done to this job now.
import { Link, useNavigate } from "@tanstack/react-router";
import { useState } from "react";
import type { Job } from "../../gen/sentinel/jobs/v1/job_pb";
import { useWords } from "../../i18n/index";
import { useClients } from "../../rpc/context";
import {
  mayCancel,
  mayDelete,
  mayRetry,
  mayRunNow,
  mayUpdate,
  short,
  useActions,
} from "../../ui/act";
import { Confirm } from "../../ui/dialog";
import { useNotes } from "../../ui/feedback";
import { requestId } from "../../ui/request-id";
import { Edit } from "./edit";

export function JobActions({ job }: { job: Job }) {
  const words = useWords();
  const { jobs } = useClients();
  const notes = useNotes();
  const navigate = useNavigate();
  const { isBusy, cancel, retry, runNow } = useActions();
  const [asks, setAsks] = useState<"delete" | "edit">();
  const { actions } = words;

  async function remove() {
    try {
      await jobs.delete({ id: job.id, requestId: requestId() });
      notes.good(words.job.deleted(short(job.id)));
      await navigate({ to: "/" });
    } catch (error) {
      notes.bad(error);
    }
  }

  return (
    <div className="buttons">
      {mayCancel(job) && (
        <button type="button" disabled={isBusy} onClick={() => void cancel(job.id)}>
          {actions.cancel}
        </button>
      )}
      {mayRetry(job) && (
        <button
          type="button"
          className="primary"
          disabled={isBusy}
          onClick={() => void retry(job.id)}
        >
          {actions.retry}
        </button>
      )}
      {mayRunNow(job) && (
        <button type="button" disabled={isBusy} onClick={() => void runNow(job.id)}>
          {actions.runNow}
        </button>
      )}
      {mayUpdate(job) && (
        <button type="button" onClick={() => setAsks("edit")}>
          {actions.edit}
        </button>
      )}
      <Link className="button" to="/new" search={{ from: job.id }}>
        {actions.duplicate}
      </Link>
      {mayDelete(job) && (
        <button type="button" className="danger" onClick={() => setAsks("delete")}>
          {actions.delete}
        </button>
      )}
      {asks === "delete" && (
        <Confirm
          title={words.job.deleteTitle}
          text={words.job.deleteText}
          action={actions.delete}
          onConfirm={() => void remove()}
          onClose={() => setAsks(undefined)}
        />
      )}
      {asks === "edit" && <Edit job={job} onClose={() => setAsks(undefined)} />}
    </div>
  );
}
