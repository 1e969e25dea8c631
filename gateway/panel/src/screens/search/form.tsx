// The search form. Its values are in the URL, so users can share a search as a link.
import { useNavigate } from "@tanstack/react-router";
import { type FormEvent, useEffect, useRef, useState } from "react";
import { useTexts } from "../../i18n/index";
import { fromLocalInput, toLocalInput } from "../../ui/durations";
import { Field } from "../../ui/field";
import { type FilterSearch, filterErrors, isEmptyFilter, parseFilter } from "../../ui/filter";
import { parseList } from "../../ui/filter-text";
import { STATES, stateName } from "../../ui/states";
import { visible } from "../../ui/visible";

export function SearchForm({ search }: { search: FilterSearch }) {
  const texts = useTexts();
  const navigate = useNavigate({ from: "/search" });
  const first = useRef<HTMLInputElement>(null);
  const [typed, setTyped] = useState<FilterSearch>(search);
  const errors = filterErrors(typed);
  const chosen = parseList(search.state).values;
  useEffect(() => first.current?.focus(), []);

  function submit(event: FormEvent<HTMLFormElement>) {
    event.preventDefault();
    const data = new FormData(event.currentTarget);
    const next = parseFilter({
      ...Object.fromEntries(data),
      state: data.getAll("state").join(","),
      after: fromLocalInput(String(data.get("after") ?? "")),
      before: fromLocalInput(String(data.get("before") ?? "")),
    });
    setTyped(next);
    if (filterErrors(next).size === 0) void navigate({ search: next });
  }

  const text = (name: keyof FilterSearch, label: string, hint: string) => {
    const invalid = errors.get(name);
    return (
      <Field
        label={label}
        hint={hint}
        error={
          invalid === undefined ? undefined : `${visible(invalid)} ${texts.search.errors[name]}`
        }
      >
        <input
          {...(name === "kind" && { ref: first })}
          name={name}
          defaultValue={typed[name] ?? ""}
        />
      </Field>
    );
  };
  const time = (name: "after" | "before", label: string) => (
    <Field label={label} error={errors.has(name) ? texts.search.errors[name] : undefined}>
      <input
        type="datetime-local"
        step={1}
        name={name}
        defaultValue={toLocalInput(Date.parse(typed[name] ?? ""))}
      />
    </Field>
  );
  return (
    <form
      className="card search-form"
      role="search"
      aria-label={texts.search.title}
      onSubmit={submit}
    >
      <div className="columns">
        {text("kind", texts.search.kinds, texts.search.listHint)}
        {text("queue", texts.search.queues, texts.search.listHint)}
        {text("label", texts.search.labels, texts.jobs.filterLabelHint)}
        {time("after", texts.search.after)}
        {time("before", texts.search.before)}
      </div>
      <fieldset className="chips">
        <legend className="visually-hidden">{texts.search.states}</legend>
        {STATES.map((state) => (
          <label key={state} className="chip choice">
            <input
              type="checkbox"
              name="state"
              value={stateName(state)}
              defaultChecked={chosen.includes(stateName(state))}
            />{" "}
            {texts.states[stateName(state)]}
          </label>
        ))}
      </fieldset>
      <div className="buttons">
        <button type="submit" className="primary">
          {texts.search.find}
        </button>
        {!isEmptyFilter(search) && (
          <button type="button" className="link" onClick={() => void navigate({ search: {} })}>
            {texts.actions.clear}
          </button>
        )}
      </div>
    </form>
  );
}
