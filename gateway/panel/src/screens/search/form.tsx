// What to search for. It is the address, so a search can be sent as a link.
import { useNavigate } from "@tanstack/react-router";
import { type FormEvent, useEffect, useRef, useState } from "react";
import { useWords } from "../../i18n/index";
import { Field } from "../../ui/field";
import { type FilterSearch, isEmptyFilter, listOf, mistakesIn, parseFilter } from "../../ui/filter";
import { localTime, momentOf } from "../../ui/spans";
import { nameOf, STATES } from "../../ui/states";

export function SearchForm({ search }: { search: FilterSearch }) {
  const words = useWords();
  const navigate = useNavigate({ from: "/search" });
  const first = useRef<HTMLInputElement>(null);
  const [typed, setTyped] = useState<FilterSearch>(search);
  const mistakes = mistakesIn(typed);
  const chosen = listOf(search.state);
  useEffect(() => first.current?.focus(), []);

  function submit(event: FormEvent<HTMLFormElement>) {
    event.preventDefault();
    const data = new FormData(event.currentTarget);
    const next = parseFilter({
      ...Object.fromEntries(data),
      state: data.getAll("state").join(","),
      after: momentOf(String(data.get("after") ?? "")),
      before: momentOf(String(data.get("before") ?? "")),
    });
    setTyped(next);
    if (mistakesIn(next).size === 0) void navigate({ search: next });
  }

  const text = (name: keyof FilterSearch, label: string, hint: string) => {
    const problem = mistakes.get(name);
    return (
      <Field
        name={label}
        hint={hint}
        problem={problem === undefined ? undefined : `${problem} ${words.search.mistakes[name]}`}
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
    <Field name={label} problem={mistakes.has(name) ? words.search.mistakes[name] : undefined}>
      <input
        type="datetime-local"
        step={1}
        name={name}
        defaultValue={localTime(Date.parse(typed[name] ?? ""))}
      />
    </Field>
  );
  return (
    <form
      className="card search-form"
      role="search"
      aria-label={words.search.title}
      onSubmit={submit}
    >
      <div className="columns">
        {text("kind", words.search.kinds, words.search.several)}
        {text("queue", words.search.queues, words.search.several)}
        {text("label", words.search.labels, words.tasks.filterLabelHint)}
        {time("after", words.search.after)}
        {time("before", words.search.before)}
      </div>
      <fieldset className="chips">
        <legend className="visually-hidden">{words.search.states}</legend>
        {STATES.map((state) => (
          <label key={state} className="chip choice">
            <input
              type="checkbox"
              name="state"
              value={nameOf(state)}
              defaultChecked={chosen.includes(nameOf(state))}
            />{" "}
            {words.states[nameOf(state)]}
          </label>
        ))}
      </fieldset>
      <div className="buttons">
        <button type="submit" className="primary">
          {words.search.find}
        </button>
        {!isEmptyFilter(search) && (
          <button type="button" className="link" onClick={() => void navigate({ search: {} })}>
            {words.actions.clear}
          </button>
        )}
      </div>
    </form>
  );
}
