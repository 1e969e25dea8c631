// Finds jobs among all that the history has, and does something to many of them.
import { useCallback, useEffect, useState } from "react";
import { useFormat } from "../i18n/format";
import { useWords } from "../i18n/index";
import { searchRoute } from "../router";
import { Empty, Failure, Loading } from "../ui/feedback";
import { mistakesIn } from "../ui/filter";
import { SearchForm } from "./search/form";
import { RowList } from "./search/list";
import { ROWS_MAX, useRows } from "./search/rows";
import { Selected } from "./search/selected";

export function Search() {
  const words = useWords();
  const format = useFormat();
  const search = searchRoute.useSearch();
  const found = useRows(search);
  const [selected, setSelected] = useState<ReadonlySet<string>>(new Set());
  const select = useCallback((id: string, on: boolean) => {
    setSelected((before) => {
      const next = new Set(before);
      if (on) next.add(id);
      else next.delete(id);
      return next;
    });
  }, []);
  useEffect(() => setSelected(new Set()), [search]);
  useEffect(() => {
    document.title = `${words.search.title} · ${words.appName}`;
  }, [words]);
  const { rows } = found;
  const mistakes = mistakesIn(search);
  const count = format.number(rows.length);
  const areAll = rows.length > 0 && selected.size === rows.length;
  return (
    <>
      <div className="head">
        <h1>{words.search.title}</h1>
      </div>
      <SearchForm key={JSON.stringify(search)} search={search} />
      {mistakes.size > 0 && (
        <p className="field-error" role="alert">
          {words.bulk.mistaken}
        </p>
      )}
      {mistakes.size === 0 && (
        <Selected
          search={search}
          selected={selected}
          onDone={() => {
            setSelected(new Set());
            found.refresh();
          }}
        />
      )}
      {found.error !== undefined && <Failure error={found.error} again={found.again} />}
      {rows.length === 0 && found.isLoading && <Loading />}
      {rows.length === 0 &&
        !found.isLoading &&
        found.error === undefined &&
        mistakes.size === 0 && <Empty title={words.search.empty} />}
      {rows.length > 0 && (
        <>
          <div className="bar-row">
            <label>
              <input
                type="checkbox"
                checked={areAll}
                onChange={(event) =>
                  setSelected(new Set(event.target.checked ? rows.map(({ id }) => id) : []))
                }
              />{" "}
              {words.search.selectAll}
            </label>
            <span className="quiet" role="status">
              {rows.length >= ROWS_MAX
                ? words.search.limit(count)
                : found.hasMore
                  ? words.search.foundMore(count)
                  : words.search.found(count)}
            </span>
          </div>
          <RowList found={found} selected={selected} onSelect={select} />
        </>
      )}
    </>
  );
}
