// The search screen: finds jobs in the history and runs actions on many of them.
import { getRouteApi } from "@tanstack/react-router";
import { useCallback, useEffect, useState } from "react";
import { useFormat } from "../i18n/format";
import { useTexts } from "../i18n/index";
import { useHub } from "../live/hooks";
import { Empty, ErrorMessage, Loading } from "../ui/feedback";
import { filterErrors } from "../ui/filter";
import { stateName } from "../ui/states";
import { SearchForm } from "./search/form";
import { ResultActions } from "./search/result-actions";
import { ResultList } from "./search/result-list";
import { ROWS_MAX, useSearchResults } from "./search/results";

const route = getRouteApi("/search");

export function SearchScreen() {
  const texts = useTexts();
  const format = useFormat();
  const search = route.useSearch();
  const results = useSearchResults(search);
  const [selected, setSelected] = useState<ReadonlySet<string>>(new Set());
  const select = useCallback((id: string, isSelected: boolean) => {
    setSelected((before) => {
      const next = new Set(before);
      if (isSelected) next.add(id);
      else next.delete(id);
      return next;
    });
  }, []);
  useEffect(() => setSelected(new Set()), [search]);
  useEffect(() => {
    document.title = `${texts.search.title} · ${texts.appName}`;
  }, [texts]);
  const { rows } = results;
  const hub = useHub();
  // The hub knows changes that the list does not.
  const selectedStates = new Map(
    rows.flatMap(({ id, state }) => {
      const live = hub.job(id);
      return selected.has(id) ? [[id, live ? stateName(live.state) : state] as const] : [];
    }),
  );
  const isInvalid = filterErrors(search).size > 0;
  const count = format.number(rows.length);
  const isAllSelected = rows.length > 0 && selected.size === rows.length;
  return (
    <>
      <div className="head">
        <h1>{texts.search.title}</h1>
      </div>
      <SearchForm key={JSON.stringify(search)} search={search} />
      {isInvalid && (
        <p className="field-error" role="alert">
          {texts.bulk.invalidFilter}
        </p>
      )}
      {!isInvalid && (
        <ResultActions
          search={search}
          selected={selectedStates}
          onDone={() => {
            setSelected(new Set());
            results.refresh();
          }}
        />
      )}
      {results.error !== undefined && (
        <ErrorMessage error={results.error} onRetry={results.retry} />
      )}
      {rows.length === 0 && results.isLoading && <Loading />}
      {rows.length === 0 && !results.isLoading && results.error === undefined && !isInvalid && (
        <Empty title={texts.search.empty} />
      )}
      {rows.length > 0 && (
        <>
          <div className="bar-row">
            <label>
              <input
                type="checkbox"
                checked={isAllSelected}
                onChange={(event) =>
                  setSelected(new Set(event.target.checked ? rows.map(({ id }) => id) : []))
                }
              />{" "}
              {texts.search.selectAll}
            </label>
            <span className="muted" role="status">
              {rows.length >= ROWS_MAX
                ? texts.search.limit(count)
                : results.hasMore
                  ? texts.search.shownOfMore(count)
                  : texts.search.shown(count)}
            </span>
          </div>
          <ResultList results={results} selected={selected} onSelect={select} />
        </>
      )}
    </>
  );
}
