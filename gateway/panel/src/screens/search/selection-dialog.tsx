// Asks before an action on selected jobs: how many there are in each state, and which to change.
import { useState } from "react";
import { useFormat } from "../../i18n/format";
import { useTexts } from "../../i18n/index";
import { bulkStates, defaultStates } from "../../ui/action-table";
import { Dialog } from "../../ui/dialog";
import { type BulkName, StateChoice } from "../../ui/state-choice";
import type { StateName } from "../../ui/states";

export function SelectionDialog({
  name,
  selected,
  onConfirm,
  onClose,
}: {
  name: BulkName;
  selected: ReadonlyMap<string, StateName>;
  onConfirm: (ids: readonly string[]) => void;
  onClose: () => void;
}) {
  const texts = useTexts();
  const format = useFormat();
  // The question is about the jobs as they were when it was asked.
  const [asked] = useState(selected);
  const [chosen, setChosen] = useState<ReadonlySet<StateName>>(
    () => new Set(defaultStates(name, [])),
  );
  const counts = new Map<StateName, number>();
  for (const state of asked.values()) counts.set(state, (counts.get(state) ?? 0) + 1);
  const possible = bulkStates(name, []).filter((state) => counts.has(state));
  const ids = [...asked].flatMap(([id, state]) =>
    chosen.has(state) && possible.includes(state) ? [id] : [],
  );
  const count = (jobs: number) => texts.common.jobCount(jobs, format.number(jobs));
  return (
    <Dialog
      title={texts.bulk.titles[name]}
      onClose={onClose}
      actions={
        ids.length > 0 && (
          <button
            type="button"
            className={name === "retry" ? "primary" : "danger"}
            onClick={(event) => {
              onConfirm(ids);
              event.currentTarget.closest("dialog")?.close();
            }}
          >
            {texts.actions[name]}
          </button>
        )
      }
    >
      <p>{texts.bulk.selection(count(asked.size))}</p>
      {possible.length > 0 && (
        <StateChoice
          action={name}
          counts={new Map([...counts].map(([state, jobs]) => [state, format.number(jobs)]))}
          chosen={chosen}
          onChange={setChosen}
        />
      )}
      <p role="status">
        {possible.length === 0
          ? texts.bulk.nothing
          : ids.length === 0
            ? texts.bulk.noneChosen
            : texts.bulk.confirm[name](count(ids.length))}
      </p>
    </Dialog>
  );
}
