// The buttons for the actions on a job. While they are held, they keep their places and meanings:
// an action that is not possible any more is disabled, and another one does not take its place.
import type { Job } from "../gen/sentinel/jobs/v1/job_pb";
import { useTexts } from "../i18n/index";
import type { ActionName } from "./action-table";
import { useHeld } from "./hold";
import { isPossible } from "./job-actions";

export function ActionButtons({
  job,
  actions,
  isHeld,
  isBusy,
  onAction,
  name,
}: {
  job: Job;
  actions: readonly ActionName[];
  isHeld: boolean;
  isBusy: boolean;
  onAction: (action: ActionName, job: Job) => void;
  /** The name of the job for screen readers, in lists. The buttons of a list are small. */
  name?: string;
}) {
  const texts = useTexts();
  const possible = actions.filter((action) => isPossible(action, job)).join(" ");
  const { shown } = useHeld(possible, isHeld);
  return actions.map((action) => {
    const size = name === undefined ? "" : "small";
    if (!shown.split(" ").includes(action)) {
      // On a touch screen a finger may come down where a button was before: no other button moves
      // there.
      const isReplaceable = action === "cancel" || action === "retry";
      return (
        isReplaceable && (
          <span key={action} className={`button-place ${size}`} aria-hidden="true">
            {texts.actions[action]}
          </span>
        )
      );
    }
    const isDisabled = isBusy || !isPossible(action, job);
    return (
      <button
        key={action}
        type="button"
        className={`${size} ${action === "retry" && size === "" ? "primary" : ""} ${action === "delete" ? "danger" : ""}`}
        // A disabled element would lose the focus.
        aria-disabled={isDisabled}
        {...(name !== undefined && { "aria-label": `${texts.actions[action]} ${name}` })}
        onClick={() => !isDisabled && onAction(action, job)}
      >
        {texts.actions[action]}
      </button>
    );
  });
}
