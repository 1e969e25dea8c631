// Property tests of the text form of filters, and of escapes of invisible characters.
import assert from "node:assert/strict";
import { test } from "node:test";
import { draftErrors, emptyDraft, toJobSpec } from "../src/screens/new-job/draft";
import {
  type FilterSearch,
  filterErrors,
  parseFilter,
  parseSearch,
  printSearch,
  toJobFilter,
} from "../src/ui/filter";
import { parseLabels, parseList, printLabels, printList } from "../src/ui/filter-text";
import { hasInvisible, visible, visibleLines } from "../src/ui/visible";
import { property, type Random } from "./random";

function labelsOf(random: Random): [string, string][] {
  const labels = new Map<string, string>();
  for (let count = random.below(4) + 1; count > 0; count -= 1) {
    const key = random.below(4) === 0 ? random.text(6) : `key.${count}_-`;
    if (key !== "") labels.set(key, random.text(12));
  }
  return [...labels];
}

test("printed labels are parsed to the same labels", () => {
  property((random) => {
    const labels = labelsOf(random);
    for (const separator of [",", "\n"] as const) {
      const text = printLabels(labels, separator);
      assert.deepEqual(parseLabels(text, separator), { values: labels, invalid: undefined }, text);
      // An input field would change them.
      if (separator === ",") assert.ok(!hasInvisible(text), JSON.stringify(text));
    }
  });
});

test("printed lists are parsed to the same names", () => {
  property((random) => {
    const names = Array.from({ length: random.below(5) }, () => random.text(8)).filter(Boolean);
    const text = printList(names);
    assert.deepEqual(parseList(text), { values: names, invalid: undefined }, text);
  });
});

test("a filter passes through the URL and becomes a message with the same values", () => {
  property((random) => {
    const labels = labelsOf(random);
    const names = () =>
      Array.from({ length: random.below(3) }, () => random.text(8)).filter(Boolean);
    const [queues, kinds] = [names(), names()];
    const search: FilterSearch = {
      queue: printList(queues),
      kind: printList(kinds),
      label: printLabels(labels),
      state: "failed,ready",
    };
    const opened = parseFilter(
      parseSearch(new URL(`http://panel/${printSearch({ ...search })}`).search),
    );
    assert.deepEqual([...filterErrors(opened)], [], JSON.stringify(search));
    const filter = toJobFilter(opened);
    assert.deepEqual(filter.queues, queues);
    assert.deepEqual(filter.kinds, kinds);
    assert.deepEqual(filter.labels, Object.fromEntries(labels));
  });
});

test("labels in the form of a new job become the labels of the job", () => {
  property((random) => {
    const labels = labelsOf(random);
    const draft = { ...emptyDraft("q", "k"), labels: printLabels(labels, "\n") };
    assert.equal(draftErrors(draft).size, 0, draft.labels);
    assert.deepEqual(toJobSpec(draft).labels, Object.fromEntries(labels));
  });
});

test("any typed text is parsed, or reported as invalid", () => {
  property((random) => {
    const text = random.text(20);
    const items = text.split(",").filter((item) => item.trim() !== "").length;
    for (const parsed of [parseLabels(text), parseList(text)]) {
      if (items > 0 && parsed.values.length === 0) assert.notEqual(parsed.invalid, undefined, text);
    }
    const { values, invalid } = parseLabels(text);
    if (invalid === undefined) assert.deepEqual(parseLabels(printLabels(values)).values, values);
  });
});

test("typed filters mean what they say", () => {
  const cases: [string, [string, string][] | undefined][] = [
    [
      "a=b=c, d=",
      [
        ["a", "b=c"],
        ["d", ""],
      ],
    ],
    [
      'city="Paris, France",n=1',
      [
        ["city", "Paris, France"],
        ["n", "1"],
      ],
    ],
    ['"a=b"="x"', [["a=b", "x"]]],
    ['say=he said "no"', [["say", 'he said "no"']]],
    ['t="a\\nb\\u202e"', [["t", "a\nb\u202e"]]],
    ["tenant", undefined],
    ["=x", undefined],
    ["a=1,a=2", undefined],
    ['a="b', undefined],
    ['a="b"c', undefined],
  ];
  for (const [text, labels] of cases) {
    const parsed = parseLabels(text);
    if (labels === undefined) assert.notEqual(parsed.invalid, undefined, text);
    else assert.deepEqual(parsed, { values: labels, invalid: undefined }, text);
  }
});

test("names that look like other values stay names in the URL", () => {
  for (const queue of ["true", "null", "1e5", "007", "12345678901234567890", "a+b", "50%"])
    assert.deepEqual(parseFilter(parseSearch(printSearch({ queue }))), { queue });
});

test("text is shown without invisible characters, and only those change", () => {
  property((random) => {
    const text = random.text(30);
    const shown = visible(text);
    assert.ok(!hasInvisible(shown), JSON.stringify(shown));
    if (!hasInvisible(text)) assert.equal(shown, text);
    const lines = visibleLines(text);
    assert.ok(!hasInvisible(lines.replace(/[\n\t]/g, "")), JSON.stringify(lines));
  });
  assert.equal(visible("a\u001b[31m\u202eb"), "a\\u001b[31m\\u202eb");
  assert.equal(visible("\ud800 \u{e0041}"), "\\ud800 \\u{e0041}");
  assert.equal(visibleLines("a\r\nb\tc\rd"), "a\nb\tc\\u000dd");
  assert.equal(visible("👩‍💻 é 中 א"), "👩‍💻 é 中 א");
});
