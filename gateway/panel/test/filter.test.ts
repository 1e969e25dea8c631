// A filter survives its way through an address, and what is none is told.
import assert from "node:assert/strict";
import { test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { JobState } from "../src/gen/sentinel/jobs/v1/job_pb";
import { WatchSummarySchema } from "../src/gen/sentinel/jobs/v1/job_service_pb";
import { emptyDraft, mistakesInDraft, specOf } from "../src/screens/new-job/draft";
import { extended, POINTS_MAX } from "../src/screens/queues/history";
import { cell } from "../src/screens/search/export";
import { mayBulk } from "../src/ui/bulk";
import { filterOf, mistakesIn, parseFilter } from "../src/ui/filter";
import { localTime, millisIn, momentOf } from "../src/ui/spans";

test("an address becomes the filter it says", () => {
  const search = parseFilter({
    state: "failed,running",
    queue: 7,
    label: "a=b=c,d=",
    kind: " ",
    other: "x",
  });
  assert.deepEqual(search, { state: "failed,running", queue: "7", label: "a=b=c,d=" });
  const filter = filterOf(search);
  assert.deepEqual(filter.states, [JobState.FAILED, JobState.RUNNING]);
  assert.deepEqual(filter.queues, ["7"]);
  assert.deepEqual(filter.labels, { a: "b=c", d: "" });
  assert.equal(mistakesIn(search).size, 0);
});

test("what is no filter is told and left out", () => {
  const search = parseFilter({ state: "lost", label: "=x", after: "soon" });
  assert.deepEqual([...mistakesIn(search).keys()].toSorted(), ["after", "label", "state"]);
  assert.deepEqual(filterOf(search), { queues: [], kinds: [], states: [], labels: {} });
});

test("nothing is done to all jobs of a filter that is mistaken or names none", () => {
  assert.ok(mayBulk({ queue: "mail", state: "failed" }));
  for (const part of [{ state: "faild" }, { label: "tenant" }, { after: "soon" }])
    assert.ok(!mayBulk({ queue: "mail", ...part }));
  for (const search of [{}, { queue: "," }, { after: "2026-01-01" }]) assert.ok(!mayBulk(search));
});

test("a spreadsheet takes no cell for a formula", () => {
  assert.equal(cell("=1+1"), "'=1+1");
  assert.equal(cell("@x"), "'@x");
  assert.equal(cell('a "b", c'), '"a ""b"", c"');
  assert.equal(cell("plain"), "plain");
});

test("spans of time are what they say, and nothing else is one", () => {
  assert.deepEqual(
    ["90s", "15m", "2h", "3d", "250ms", "1.5s"].map(millisIn),
    [90e3, 9e5, 7.2e6, 2.592e8, 250, 1500],
  );
  for (const text of ["", "5", "s", "-1s", "1 week"]) assert.equal(millisIn(text), undefined, text);
});

test("a moment that is typed is the same for whoever is sent it", () => {
  const moment = momentOf("2026-03-29T12:30:15");
  assert.match(moment, /Z$/);
  assert.equal(localTime(Date.parse(moment)), "2026-03-29T12:30:15");
  assert.equal(momentOf("soon"), "soon");
});

test("a draft becomes the job it says, byte for byte", () => {
  const draft = {
    ...emptyDraft("q", "k"),
    payload: '{"n": 12345678901234567890}',
    labels: "a=b=c",
    when: "delay" as const,
    delay: "1.5s",
  };
  assert.equal(mistakesInDraft(draft).size, 0);
  const spec = specOf(draft);
  assert.equal(new TextDecoder().decode(spec.payload), draft.payload);
  assert.deepEqual(spec.labels, { a: "b=c" });
  assert.deepEqual(spec.delay, { seconds: 1n, nanos: 500_000_000 });
  const wrong = mistakesInDraft({ ...draft, queue: " ", delay: "soon", labels: "=x" });
  assert.deepEqual([...wrong.keys()].toSorted(), ["delay", "labels", "queue"]);
});

test("the picture of a queue keeps five minutes and no queue that is gone", () => {
  const summary = (queue: string) =>
    create(WatchSummarySchema, { queues: [{ queue, enqueuedPerSecond: 1 }] });
  let history: ReturnType<typeof extended> = new Map();
  for (let count = 0; count < POINTS_MAX + 10; count += 1)
    history = extended(history, summary("a"));
  assert.equal(history.get("a")?.length, POINTS_MAX);
  assert.deepEqual([...extended(history, summary("b")).keys()], ["b"]);
});
