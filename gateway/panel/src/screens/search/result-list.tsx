// The list of search results. Only visible rows are rendered, and only those are followed live.
import { Link } from "@tanstack/react-router";
import { useVirtualizer } from "@tanstack/react-virtual";
import { memo, useEffect, useRef } from "react";
import { useFormat } from "../../i18n/format";
import { useTexts } from "../../i18n/index";
import { useCachedJob, useFollowJobs, useHub } from "../../live/hooks";
import { shortId } from "../../ui/job-actions";
import { StateBadge } from "../../ui/job-status";
import { isTerminal, parseState, stateName } from "../../ui/states";
import { useNow } from "../../ui/time";
import { visible } from "../../ui/visible";
import type { Row, SearchResults } from "./results";

const ROW_PX = 40;
/** How many rows before the end the next page is loaded. */
const PREFETCH_ROWS = 40;
/** Below the server's limit of 100 ids per stream, which the tab's other jobs share. */
const FOLLOWED_MAX = 60;

export function ResultList({
  results,
  selected,
  onSelect,
}: {
  results: SearchResults;
  selected: ReadonlySet<string>;
  onSelect: (id: string, isSelected: boolean) => void;
}) {
  const texts = useTexts();
  const scroll = useRef<HTMLDivElement>(null);
  const hub = useHub();
  const { rows, loadMore, hasMore } = results;
  const virtualizer = useVirtualizer({
    count: rows.length,
    getScrollElement: () => scroll.current,
    estimateSize: () => ROW_PX,
    overscan: 12,
  });
  const visible = virtualizer.getVirtualItems();
  const lastIndex = visible.at(-1)?.index ?? 0;
  useEffect(() => {
    if (hasMore && lastIndex >= rows.length - PREFETCH_ROWS) loadMore();
  });
  const unfinished = visible.flatMap(({ index }) => {
    const row = rows[index];
    // The hub knows the state of a job that was retried here before the list does.
    const state = row && (hub.job(row.id)?.state ?? parseState(row.state));
    return row && state !== undefined && !isTerminal(state) ? [row.id] : [];
  });
  useFollowJobs(unfinished.slice(0, FOLLOWED_MAX));
  const { fields } = texts;
  return (
    <div
      className="results"
      role="table"
      aria-label={texts.search.title}
      aria-rowcount={hasMore ? -1 : rows.length + 1}
    >
      <div role="rowgroup">
        <div role="row" aria-rowindex={1} className="result-row result-head">
          <span role="columnheader" />
          <span role="columnheader">{fields.kind}</span>
          <span role="columnheader">{fields.state}</span>
          <span role="columnheader">{fields.queue}</span>
          <span role="columnheader">{fields.age}</span>
          <span role="columnheader">{fields.error}</span>
        </div>
      </div>
      <div
        ref={scroll}
        className="results-scroll"
        role="rowgroup"
        tabIndex={0}
        aria-label={texts.search.title}
      >
        <div
          role="presentation"
          style={{ height: virtualizer.getTotalSize(), position: "relative" }}
        >
          {visible.map(({ index, start }) => {
            const row = rows[index];
            return (
              row && (
                <ResultRow
                  key={row.id}
                  row={row}
                  index={index}
                  top={start}
                  isSelected={selected.has(row.id)}
                  onSelect={onSelect}
                />
              )
            );
          })}
        </div>
      </div>
    </div>
  );
}

const ResultRow = memo(function ResultRow({
  row,
  index,
  top,
  isSelected,
  onSelect,
}: {
  row: Row;
  index: number;
  top: number;
  isSelected: boolean;
  onSelect: (id: string, isSelected: boolean) => void;
}) {
  const texts = useTexts();
  const format = useFormat();
  const now = useNow();
  const live = useCachedJob(row.id);
  const state = live ? stateName(live.state) : row.state;
  const name = `${visible(row.kind)} ${shortId(row.id)}`;
  return (
    <div
      role="row"
      aria-rowindex={index + 2}
      className="result-row"
      style={{ transform: `translateY(${top}px)` }}
    >
      <span role="cell">
        <input
          type="checkbox"
          aria-label={texts.search.select(name)}
          checked={isSelected}
          onChange={(event) => onSelect(row.id, event.target.checked)}
        />
      </span>
      <span role="cell">
        <Link to="/jobs/$id" params={{ id: row.id }}>
          {visible(row.kind)}
        </Link>{" "}
        <span className="muted mono">{shortId(row.id)}</span>
      </span>
      <span role="cell">
        <StateBadge state={state} />
      </span>
      <span role="cell">{visible(row.queue)}</span>
      <span role="cell" title={format.dateTime(row.createdMs)}>
        {format.duration(Math.max(0, now - row.createdMs))}
      </span>
      <span role="cell" className="result-error">
        {visible(row.error)}
      </span>
    </div>
  );
});
