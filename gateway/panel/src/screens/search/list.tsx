// The rows that were found: only those in view are drawn, and those are followed live.
import { Link } from "@tanstack/react-router";
import { useVirtualizer } from "@tanstack/react-virtual";
import { memo, useEffect, useRef } from "react";
import { useFormat } from "../../i18n/format";
import { useWords } from "../../i18n/index";
import { useFollow, useHub, useKnownJob } from "../../live/hooks";
import { short } from "../../ui/act";
import { StateMark } from "../../ui/marks";
import { isFinal, nameOf, stateOf } from "../../ui/states";
import { useNow } from "../../ui/time";
import type { Found, Row } from "./rows";

const ROW_PX = 40;
const FOLLOWED_MAX = 60;

export function RowList({
  found,
  selected,
  onSelect,
}: {
  found: Found;
  selected: ReadonlySet<string>;
  onSelect: (id: string, on: boolean) => void;
}) {
  const words = useWords();
  const scroll = useRef<HTMLDivElement>(null);
  const hub = useHub();
  const { rows } = found;
  const virtual = useVirtualizer({
    count: rows.length,
    getScrollElement: () => scroll.current,
    estimateSize: () => ROW_PX,
    overscan: 12,
  });
  const shown = virtual.getVirtualItems();
  const last = shown.at(-1)?.index ?? 0;
  const { more, hasMore } = found;
  useEffect(() => {
    if (hasMore && last >= rows.length - 40) more();
  });
  const open = shown.flatMap(({ index }) => {
    const row = rows[index];
    // One that was retried here is known to run again before the list says so.
    const state = row && (hub.job(row.id)?.state ?? stateOf(row.state));
    return row && state !== undefined && !isFinal(state) ? [row.id] : [];
  });
  useFollow(open.slice(0, FOLLOWED_MAX));
  const { fields } = words;
  return (
    <div
      className="found"
      role="table"
      aria-label={words.search.title}
      aria-rowcount={found.hasMore ? -1 : rows.length + 1}
    >
      <div role="rowgroup">
        <div role="row" aria-rowindex={1} className="found-row found-head">
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
        className="found-scroll"
        role="rowgroup"
        tabIndex={0}
        aria-label={words.search.title}
      >
        <div role="presentation" style={{ height: virtual.getTotalSize(), position: "relative" }}>
          {shown.map(({ index, start }) => {
            const row = rows[index];
            return (
              row && (
                <FoundRow
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

const FoundRow = memo(function FoundRow({
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
  onSelect: (id: string, on: boolean) => void;
}) {
  const words = useWords();
  const format = useFormat();
  const now = useNow();
  const live = useKnownJob(row.id);
  const state = live ? nameOf(live.state) : row.state;
  const name = `${row.kind} ${short(row.id)}`;
  return (
    <div
      role="row"
      aria-rowindex={index + 2}
      className="found-row"
      style={{ transform: `translateY(${top}px)` }}
    >
      <span role="cell">
        <input
          type="checkbox"
          aria-label={words.search.select(name)}
          checked={isSelected}
          onChange={(event) => onSelect(row.id, event.target.checked)}
        />
      </span>
      <span role="cell">
        <Link to="/jobs/$id" params={{ id: row.id }}>
          {row.kind}
        </Link>{" "}
        <span className="quiet mono">{short(row.id)}</span>
      </span>
      <span role="cell">
        <StateMark state={state} />
      </span>
      <span role="cell">{row.queue}</span>
      <span role="cell" title={format.moment(row.createdMs)}>
        {format.span(Math.max(0, now - row.createdMs))}
      </span>
      <span role="cell" className="found-error">
        {row.error}
      </span>
    </div>
  );
});
