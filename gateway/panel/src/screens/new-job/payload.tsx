// The payload: by the kind's schema where that is a flat object, as JSON text always.
import { useEffect, useMemo, useState } from "react";
import { useWords } from "../../i18n/index";
import { Field } from "../../ui/field";
import { mistakeIn } from "../../ui/json";
import {
  type FormValues,
  fieldsOf,
  jsonOf,
  mistakesInFields,
  type SchemaField,
  valuesIn,
} from "../../ui/schema";

interface PayloadState {
  fields: readonly SchemaField[] | undefined;
  isForm: boolean;
  /** Goes over to it; the text that the other one held, when that was the form. */
  show(form: boolean): string | undefined;
  values: Readonly<Record<string, string>>;
  setValue(name: string, value: string): void;
  problems: ReadonlyMap<string, string>;
  textProblem: string | undefined;
  /** The text to send; undefined when something is wrong with it, which is then shown. */
  take(): string | undefined;
}

export function usePayload(schema: string, text: string, isJson: boolean): PayloadState {
  const words = useWords();
  const fields = useMemo(() => fieldsOf(schema), [schema]);
  const [wantsForm, setWantsForm] = useState(false);
  const [shown, setShown] = useState<FormValues>({ values: {}, rest: new Map() });
  const [problems, setProblems] = useState<ReadonlyMap<string, string>>(new Map());
  const [textProblem, setTextProblem] = useState<string>();
  // Another kind has other fields: what was typed into these is not its own.
  useEffect(() => setWantsForm(false), [schema]);
  const isForm = wantsForm && fields !== undefined && fields.length > 0;

  return {
    fields,
    isForm,
    show(form) {
      const found = form && fields ? valuesIn(fields, text) : undefined;
      if (found) setShown(found);
      setTextProblem(form && !found ? words.newJob.noForm : undefined);
      setWantsForm(found !== undefined);
      return isForm && fields ? jsonOf(fields, shown.values, shown.rest) : undefined;
    },
    values: shown.values,
    setValue: (name, value) =>
      setShown(({ values, rest }) => ({ values: { ...values, [name]: value }, rest })),
    problems,
    textProblem,
    take() {
      if (isForm && fields) {
        const mistakes = mistakesInFields(fields, shown.values);
        setProblems(new Map([...mistakes].map(([name, what]) => [name, words.newJob[what]])));
        return mistakes.size === 0 ? jsonOf(fields, shown.values, shown.rest) : undefined;
      }
      const mistake = text.trim() === "" || !isJson ? undefined : mistakeIn(text);
      setTextProblem(
        mistake && words.newJob.mistake(mistake.line, mistake.column, mistake.message),
      );
      return mistake ? undefined : text;
    },
  };
}

export function Payload({
  state,
  text,
  problem,
  onText,
}: {
  state: PayloadState;
  text: string;
  problem: string | undefined;
  onText: (text: string) => void;
}) {
  const words = useWords();
  const { fields, isForm } = state;
  return (
    <fieldset>
      <legend>{words.fields.payload}</legend>
      {fields && fields.length > 0 && (
        <div className="buttons" role="group" aria-label={words.newJob.how}>
          <button
            type="button"
            className="small"
            aria-pressed={!isForm}
            onClick={() => {
              const held = state.show(false);
              if (held !== undefined) onText(held);
            }}
          >
            {words.newJob.text}
          </button>
          <button
            type="button"
            className="small"
            aria-pressed={isForm}
            onClick={() => void state.show(true)}
          >
            {words.newJob.form}
          </button>
        </div>
      )}
      {isForm && problem !== undefined && (
        <p className="field-error" role="alert">
          {problem}
        </p>
      )}
      {isForm && fields ? (
        <div className="columns">
          {fields.map((field) => (
            <Field
              key={field.name}
              name={
                <>
                  <code>{field.name}</code>{" "}
                  {!field.isRequired && <span className="quiet">{words.common.optional}</span>}
                </>
              }
              hint={field.description || undefined}
              problem={state.problems.get(field.name)}
            >
              <SchemaInput
                field={field}
                value={state.values[field.name] ?? ""}
                onValue={(value) => state.setValue(field.name, value)}
              />
            </Field>
          ))}
        </div>
      ) : (
        <Field
          name={<span className="visually-hidden">{words.fields.payload}</span>}
          problem={problem ?? state.textProblem}
        >
          <textarea
            name="payload"
            rows={8}
            className="mono"
            spellCheck={false}
            value={text}
            onChange={(event) => onText(event.target.value)}
          />
        </Field>
      )}
    </fieldset>
  );
}

function SchemaInput({
  field,
  value,
  onValue,
  ...more
}: {
  field: SchemaField;
  value: string;
  onValue: (value: string) => void;
}) {
  const words = useWords();
  if (field.kind === "boolean" || field.kind === "choice") {
    const choices = field.kind === "boolean" ? ["true", "false"] : field.choices;
    const shown = (choice: string) =>
      field.kind === "boolean" ? (choice === "true" ? words.common.yes : words.common.no) : choice;
    return (
      <select {...more} value={value} onChange={(event) => onValue(event.target.value)}>
        <option value="" />
        {choices.map((choice) => (
          <option key={choice} value={choice}>
            {shown(choice)}
          </option>
        ))}
      </select>
    );
  }
  const mode = field.kind === "text" ? "text" : field.kind === "integer" ? "numeric" : "decimal";
  return (
    <input
      {...more}
      inputMode={mode}
      value={value}
      required={field.isRequired}
      onChange={(event) => onValue(event.target.value)}
    />
  );
}
