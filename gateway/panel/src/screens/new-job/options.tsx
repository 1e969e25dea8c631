// What most jobs leave as it is.
import { useWords } from "../../i18n/index";
import { Field } from "../../ui/field";
import type { Draft, FieldName } from "./draft";

export function Options({
  draft,
  problems,
  set,
}: {
  draft: Draft;
  problems: ReadonlyMap<FieldName, string>;
  set: <Name extends FieldName>(name: Name, value: Draft[Name]) => void;
}) {
  const words = useWords();
  const { newJob } = words;
  const shown: FieldName[] = ["priority", "delay", "at", "attempts", "timeout", "labels", "unique"];
  const hasProblem = shown.some((name) => problems.has(name));
  return (
    <details open={hasProblem || draft.labels !== "" || undefined}>
      <summary>{newJob.more}</summary>
      <div className="columns">
        <Field name={newJob.when}>
          <select
            value={draft.when}
            onChange={(event) => set("when", event.target.value as Draft["when"])}
          >
            <option value="now">{newJob.now}</option>
            <option value="delay">{newJob.delay}</option>
            <option value="at">{newJob.at}</option>
          </select>
        </Field>
        {draft.when === "delay" && (
          <Field name={newJob.delay} hint={newJob.delayHint} problem={problems.get("delay")}>
            <input value={draft.delay} onChange={(event) => set("delay", event.target.value)} />
          </Field>
        )}
        {draft.when === "at" && (
          <Field name={newJob.at} problem={problems.get("at")}>
            <input
              type="datetime-local"
              step={1}
              value={draft.at}
              onChange={(event) => set("at", event.target.value)}
            />
          </Field>
        )}
        <Field
          name={words.fields.priority}
          hint={newJob.priorityHint}
          problem={problems.get("priority")}
        >
          <input
            type="number"
            min={0}
            max={9}
            value={draft.priority}
            onChange={(event) => set("priority", event.target.value)}
          />
        </Field>
        <Field name={newJob.attempts} problem={problems.get("attempts")}>
          <input
            type="number"
            min={1}
            max={1000}
            value={draft.attempts}
            onChange={(event) => set("attempts", event.target.value)}
          />
        </Field>
        <Field name={newJob.timeout} hint={newJob.delayHint} problem={problems.get("timeout")}>
          <input value={draft.timeout} onChange={(event) => set("timeout", event.target.value)} />
        </Field>
        <Field name={newJob.unique} hint={newJob.uniqueHint} problem={problems.get("unique")}>
          <input value={draft.unique} onChange={(event) => set("unique", event.target.value)} />
        </Field>
        <Field name={newJob.labels} hint={newJob.labelsHint} problem={problems.get("labels")}>
          <textarea
            rows={3}
            className="mono"
            value={draft.labels}
            onChange={(event) => set("labels", event.target.value)}
          />
        </Field>
      </div>
    </details>
  );
}
