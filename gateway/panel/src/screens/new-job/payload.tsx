// The payload editor: a form when the kind's schema is a flat object, and always JSON text.
import { useEffect, useMemo, useState } from "react";
import { useTexts } from "../../i18n/index";
import { Field } from "../../ui/field";
import { jsonError } from "../../ui/json";
import {
  type FormValues,
  fieldErrors,
  formToJson,
  formValues,
  type SchemaField,
  schemaFields,
} from "../../ui/schema";
import { visible } from "../../ui/visible";

interface PayloadState {
  fields: readonly SchemaField[] | undefined;
  isForm: boolean;
  /** Switches to the form or to the text. Returns the text of the form that was left. */
  show(form: boolean): string | undefined;
  values: Readonly<Record<string, string>>;
  setValue(name: string, value: string): void;
  fieldErrors: ReadonlyMap<string, string>;
  textError: string | undefined;
  /** Returns the text to send. Shows errors and returns undefined when it is invalid. */
  validate(): string | undefined;
}

export function usePayload(schema: string, text: string, isJson: boolean): PayloadState {
  const texts = useTexts();
  const fields = useMemo(() => schemaFields(schema), [schema]);
  const [wantsForm, setWantsForm] = useState(false);
  const [form, setForm] = useState<FormValues>({ values: {}, rest: new Map() });
  const [errors, setErrors] = useState<ReadonlyMap<string, string>>(new Map());
  const [textError, setTextError] = useState<string>();
  // Another kind has other fields, so the values of the form do not apply to it.
  useEffect(() => setWantsForm(false), [schema]);
  const isForm = wantsForm && fields !== undefined && fields.length > 0;

  return {
    fields,
    isForm,
    show(showForm) {
      const found = showForm && fields ? formValues(fields, text) : undefined;
      if (found) setForm(found);
      setTextError(showForm && !found ? texts.newJob.noForm : undefined);
      setWantsForm(found !== undefined);
      return isForm && fields ? formToJson(fields, form.values, form.rest) : undefined;
    },
    values: form.values,
    setValue: (name, value) =>
      setForm(({ values, rest }) => ({ values: { ...values, [name]: value }, rest })),
    fieldErrors: errors,
    textError,
    validate() {
      if (isForm && fields) {
        const found = fieldErrors(fields, form.values);
        setErrors(new Map([...found].map(([name, error]) => [name, texts.newJob[error]])));
        return found.size === 0 ? formToJson(fields, form.values, form.rest) : undefined;
      }
      const error = text.trim() === "" || !isJson ? undefined : jsonError(text);
      setTextError(error && texts.newJob.jsonError(error.line, error.column, error.message));
      return error ? undefined : text;
    },
  };
}

export function Payload({
  state,
  text,
  error,
  onText,
}: {
  state: PayloadState;
  text: string;
  error: string | undefined;
  onText: (text: string) => void;
}) {
  const texts = useTexts();
  const { fields, isForm } = state;
  return (
    <fieldset>
      <legend>{texts.fields.payload}</legend>
      {fields && fields.length > 0 && (
        <div className="buttons" role="group" aria-label={texts.newJob.payloadEditor}>
          <button
            type="button"
            className="small"
            aria-pressed={!isForm}
            onClick={() => {
              const formText = state.show(false);
              if (formText !== undefined) onText(formText);
            }}
          >
            {texts.newJob.text}
          </button>
          <button
            type="button"
            className="small"
            aria-pressed={isForm}
            onClick={() => void state.show(true)}
          >
            {texts.newJob.form}
          </button>
        </div>
      )}
      {isForm && error !== undefined && (
        <p className="field-error" role="alert">
          {error}
        </p>
      )}
      {isForm && fields ? (
        <div className="columns">
          {fields.map((field) => (
            <Field
              key={field.name}
              label={
                <>
                  <code>{visible(field.name)}</code>{" "}
                  {!field.isRequired && <span className="muted">{texts.common.optional}</span>}
                </>
              }
              hint={visible(field.description) || undefined}
              error={state.fieldErrors.get(field.name)}
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
          label={<span className="visually-hidden">{texts.fields.payload}</span>}
          error={error ?? state.textError}
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
  const texts = useTexts();
  if (field.kind === "boolean" || field.kind === "choice") {
    const choices = field.kind === "boolean" ? ["true", "false"] : field.choices;
    const shown = (choice: string) =>
      field.kind === "boolean"
        ? choice === "true"
          ? texts.common.yes
          : texts.common.no
        : visible(choice);
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
