// The filter of a list of jobs. It is the address: what is chosen here can be sent as a link.
import { useQuery } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { type FormEvent, useId } from "react";
import { useWords } from "../../i18n/index";
import { useSummary } from "../../live/hooks";
import { useClients } from "../../rpc/context";
import { type FilterSearch, isEmptyFilter, mistakesIn, parseFilter } from "../../ui/filter";
import { nameOf, STATES } from "../../ui/states";

export function FilterBar({ search }: { search: FilterSearch }) {
  const words = useWords();
  const { kinds } = useClients();
  const navigate = useNavigate({ from: "/" });
  const list = useId();
  const known = useQuery({
    queryKey: ["kinds"],
    queryFn: ({ signal }) => kinds.listKinds({ pageSize: 1000 }, { signal }),
    staleTime: 60_000,
  });
  const queues = useSummary()?.queues ?? [];
  const mistakes = mistakesIn(search);

  function apply(event: FormEvent<HTMLFormElement>) {
    event.preventDefault();
    const entries = Object.fromEntries(new FormData(event.currentTarget));
    void navigate({ search: parseFilter(entries) });
  }

  return (
    <form
      key={JSON.stringify(search)}
      className="bar-row"
      role="search"
      aria-label={words.nav.tasks}
      onSubmit={apply}
    >
      <label className="field">
        <span>{words.tasks.filterState}</span>
        <select
          name="state"
          defaultValue={search.state ?? ""}
          onChange={(event) => event.currentTarget.form?.requestSubmit()}
        >
          <option value="">{words.common.all}</option>
          {STATES.map((state) => (
            <option key={state} value={nameOf(state)}>
              {words.states[nameOf(state)]}
            </option>
          ))}
        </select>
      </label>
      <label className="field">
        <span>{words.tasks.filterQueue}</span>
        <input name="queue" list={`${list}q`} defaultValue={search.queue ?? ""} />
        <datalist id={`${list}q`}>
          {queues.map(({ queue }) => (
            <option key={queue} value={queue} />
          ))}
        </datalist>
      </label>
      <label className="field">
        <span>{words.tasks.filterKind}</span>
        <input name="kind" list={`${list}k`} defaultValue={search.kind ?? ""} />
        <datalist id={`${list}k`}>
          {(known.data?.kinds ?? []).map(({ name }) => (
            <option key={name} value={name} />
          ))}
        </datalist>
      </label>
      <label className="field">
        <span>{words.tasks.filterLabel}</span>
        <input
          name="label"
          placeholder={words.tasks.filterLabelHint}
          defaultValue={search.label ?? ""}
          aria-invalid={mistakes.has("label")}
          aria-describedby={mistakes.has("label") ? `${list}e` : undefined}
        />
        {mistakes.has("label") && (
          <span id={`${list}e`} className="field-error">
            {words.tasks.filterLabelHint}
          </span>
        )}
      </label>
      <button type="submit">{words.actions.apply}</button>
      {!isEmptyFilter(search) && (
        <button type="button" className="link" onClick={() => void navigate({ search: {} })}>
          {words.actions.clear}
        </button>
      )}
    </form>
  );
}
