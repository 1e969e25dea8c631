// A filter in words: every part of it, also the parts that restrict nothing.
import { useFormat } from "../i18n/format";
import { useTexts } from "../i18n/index";
import type { FilterSearch } from "./filter";
import { parseLabels, parseList, printLabels } from "./filter-text";
import type { StateName } from "./states";
import { visible } from "./visible";

export function FilterSummary({
  search,
  states,
}: {
  search: FilterSearch;
  /** The states whose jobs the action changes. */
  states: readonly StateName[];
}) {
  const texts = useTexts();
  const format = useFormat();
  const list = (values: readonly string[]) =>
    values.length === 0 ? texts.common.any : values.map(visible).join(" · ");
  const time = (text: string | undefined) =>
    text === undefined ? texts.common.any : format.dateTime(Date.parse(text));
  const rows = [
    [texts.search.queues, list(parseList(search.queue).values)],
    [texts.search.kinds, list(parseList(search.kind).values)],
    [
      texts.search.states,
      states.length === 0 ? "–" : states.map((state) => texts.states[state]).join(" · "),
    ],
    [
      texts.search.labels,
      list(parseLabels(search.label).values.map((label) => printLabels([label]))),
    ],
    [texts.search.after, time(search.after)],
    [texts.search.before, time(search.before)],
  ] as const;
  return (
    <dl className="pairs">
      {rows.map(([name, value]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  );
}
