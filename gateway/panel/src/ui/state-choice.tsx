// The jobs that an action would change, by state. The user chooses the states.
import type { ReactNode } from "react";
import { useTexts } from "../i18n/index";
import { type ActionName, possibleStates } from "./action-table";
import { StateBadge } from "./job-status";
import type { StateName } from "./states";

export type BulkName = Exclude<ActionName, "runNow">;

export function StateChoice({
  action,
  counts,
  chosen,
  onChange,
}: {
  action: BulkName;
  /** The count of jobs in a state, as text. States that are not in the map are left out. */
  counts: ReadonlyMap<StateName, string>;
  chosen: ReadonlySet<StateName>;
  onChange: (chosen: ReadonlySet<StateName>) => void;
}) {
  const texts = useTexts();
  const surprises: Partial<Record<BulkName, Partial<Record<StateName, string>>>> =
    texts.confirm.surprises;
  const toggle = (state: StateName) => {
    const next = new Set(chosen);
    if (!next.delete(state)) next.add(state);
    onChange(next);
  };
  const row = (state: StateName): ReactNode => (
    <li key={state}>
      <label>
        <input type="checkbox" checked={chosen.has(state)} onChange={() => toggle(state)} />{" "}
        <StateBadge state={state} /> <span className="strong">{counts.get(state)}</span>{" "}
        <span className="muted">{surprises[action]?.[state]}</span>
      </label>
    </li>
  );
  return (
    <fieldset>
      <legend>{texts.bulk.byState}</legend>
      <ul className="plain">
        {possibleStates(action)
          .filter((state) => counts.has(state))
          .map(row)}
      </ul>
    </fieldset>
  );
}
