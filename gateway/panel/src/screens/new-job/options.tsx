// The options of a job that most jobs leave at their defaults.
import { useTexts } from "../../i18n/index";
import { Field } from "../../ui/field";
import type { Draft, DraftField } from "./draft";

export function Options({
  draft,
  errors,
  set,
}: {
  draft: Draft;
  errors: ReadonlyMap<DraftField, string>;
  set: <Name extends DraftField>(name: Name, value: Draft[Name]) => void;
}) {
  const texts = useTexts();
  const { newJob } = texts;
  const optionFields: DraftField[] = [
    "priority",
    "delay",
    "at",
    "attempts",
    "timeout",
    "labels",
    "unique",
  ];
  const hasError = optionFields.some((name) => errors.has(name));
  return (
    <details open={hasError || draft.labels !== "" || undefined}>
      <summary>{newJob.options}</summary>
      <div className="columns">
        <Field label={newJob.when}>
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
          <Field label={newJob.delay} hint={newJob.durationHint} error={errors.get("delay")}>
            <input value={draft.delay} onChange={(event) => set("delay", event.target.value)} />
          </Field>
        )}
        {draft.when === "at" && (
          <Field label={newJob.at} error={errors.get("at")}>
            <input
              type="datetime-local"
              step={1}
              value={draft.at}
              onChange={(event) => set("at", event.target.value)}
            />
          </Field>
        )}
        <Field
          label={texts.fields.priority}
          hint={newJob.priorityHint}
          error={errors.get("priority")}
        >
          <input
            type="number"
            min={0}
            max={9}
            value={draft.priority}
            onChange={(event) => set("priority", event.target.value)}
          />
        </Field>
        <Field label={newJob.attempts} error={errors.get("attempts")}>
          <input
            type="number"
            min={1}
            max={1000}
            value={draft.attempts}
            onChange={(event) => set("attempts", event.target.value)}
          />
        </Field>
        <Field label={newJob.timeout} hint={newJob.durationHint} error={errors.get("timeout")}>
          <input value={draft.timeout} onChange={(event) => set("timeout", event.target.value)} />
        </Field>
        <Field label={newJob.unique} hint={newJob.uniqueHint} error={errors.get("unique")}>
          <input value={draft.unique} onChange={(event) => set("unique", event.target.value)} />
        </Field>
        <Field label={newJob.labels} hint={newJob.labelsHint} error={errors.get("labels")}>
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
