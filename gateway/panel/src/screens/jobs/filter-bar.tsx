// The filter of the jobs screen. Its values are in the URL, so users can share them as a link.
import { useQuery } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { type FormEvent, useId } from "react";
import { useTexts } from "../../i18n/index";
import { useSummary } from "../../live/hooks";
import { useClients } from "../../rpc/context";
import { type FilterSearch, filterErrors, isEmptyFilter, parseFilter } from "../../ui/filter";
import { STATES, stateName } from "../../ui/states";

export function FilterBar({ search }: { search: FilterSearch }) {
  const texts = useTexts();
  const { kinds } = useClients();
  const navigate = useNavigate({ from: "/" });
  const listId = useId();
  const known = useQuery({
    queryKey: ["kinds"],
    queryFn: ({ signal }) => kinds.listKinds({ pageSize: 1000 }, { signal }),
    staleTime: 60_000,
  });
  const queues = useSummary()?.queues ?? [];
  const errors = filterErrors(search);

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
      aria-label={texts.nav.jobs}
      onSubmit={apply}
    >
      <label className="field">
        <span>{texts.jobs.filterState}</span>
        <select
          name="state"
          defaultValue={search.state ?? ""}
          onChange={(event) => event.currentTarget.form?.requestSubmit()}
        >
          <option value="">{texts.common.all}</option>
          {STATES.map((state) => (
            <option key={state} value={stateName(state)}>
              {texts.states[stateName(state)]}
            </option>
          ))}
        </select>
      </label>
      <label className="field">
        <span>{texts.jobs.filterQueue}</span>
        <input name="queue" list={`${listId}q`} defaultValue={search.queue ?? ""} />
        <datalist id={`${listId}q`}>
          {queues.map(({ queue }) => (
            <option key={queue} value={queue} />
          ))}
        </datalist>
      </label>
      <label className="field">
        <span>{texts.jobs.filterKind}</span>
        <input name="kind" list={`${listId}k`} defaultValue={search.kind ?? ""} />
        <datalist id={`${listId}k`}>
          {(known.data?.kinds ?? []).map(({ name }) => (
            <option key={name} value={name} />
          ))}
        </datalist>
      </label>
      <label className="field">
        <span>{texts.jobs.filterLabel}</span>
        <input
          name="label"
          placeholder={texts.jobs.filterLabelHint}
          defaultValue={search.label ?? ""}
          aria-invalid={errors.has("label")}
        />
      </label>
      <button type="submit">{texts.actions.apply}</button>
      {!isEmptyFilter(search) && (
        <button type="button" className="link" onClick={() => void navigate({ search: {} })}>
          {texts.actions.clear}
        </button>
      )}
    </form>
  );
}
