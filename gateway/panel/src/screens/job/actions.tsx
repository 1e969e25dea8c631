// The actions that are possible in the current state of a job.
import { Link, useNavigate } from "@tanstack/react-router";
import { useState } from "react";
import type { Job } from "../../gen/sentinel/jobs/v1/job_pb";
import { useTexts } from "../../i18n/index";
import { ActionButtons } from "../../ui/action-button";
import { useHeld, useHold } from "../../ui/hold";
import { canUpdate, useJobActions } from "../../ui/job-actions";
import { Edit } from "./edit";

export function JobActions({ job }: { job: Job }) {
  const { actions } = useTexts();
  const navigate = useNavigate();
  const { start, isBusy, dialog } = useJobActions(() => void navigate({ to: "/" }));
  const [isEditing, setEditing] = useState(false);
  const hold = useHold();
  const { shown: showsEdit } = useHeld(canUpdate(job), hold.isAimedAt);
  const buttons = { job, isHeld: hold.isAimedAt, isBusy: isBusy(job.id), onAction: start };
  return (
    <>
      <div className="buttons" {...hold.props}>
        <ActionButtons {...buttons} actions={["cancel", "retry", "runNow"]} />
        {showsEdit && (
          <button
            type="button"
            aria-disabled={!canUpdate(job)}
            onClick={() => canUpdate(job) && setEditing(true)}
          >
            {actions.edit}
          </button>
        )}
        <Link className="button" to="/new" search={{ from: job.id }}>
          {actions.duplicate}
        </Link>
        <ActionButtons {...buttons} actions={["delete"]} />
      </div>
      {dialog}
      {isEditing && <Edit job={job} onClose={() => setEditing(false)} />}
    </>
  );
}
