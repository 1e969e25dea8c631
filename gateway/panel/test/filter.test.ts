// Tests of filters, durations, bulk actions, CSV cells and rate histories.
import assert from "node:assert/strict";
import { test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { JobState } from "../src/gen/sentinel/jobs/v1/job_pb";
import { WatchSummarySchema } from "../src/gen/sentinel/jobs/v1/job_service_pb";
import { draftErrors, emptyDraft, toJobSpec } from "../src/screens/new-job/draft";
import { appendPoint, POINTS_MAX } from "../src/screens/queues/rate-history";
import { csvCell } from "../src/screens/search/export";
import { canRunBulk } from "../src/ui/bulk";
import { fromLocalInput, parseDuration, toLocalInput } from "../src/ui/durations";
import { filterErrors, parseFilter, toJobFilter } from "../src/ui/filter";

test("a URL is converted to a filter", () => {
  const search = parseFilter({
    state: "failed,running",
    queue: "7",
    label: "a=b=c,d=",
    kind: " ",
    other: "x",
  });
  assert.deepEqual(search, { state: "failed,running", queue: "7", label: "a=b=c,d=" });
  const filter = toJobFilter(search);
  assert.deepEqual(filter.states, [JobState.FAILED, JobState.RUNNING]);
  assert.deepEqual(filter.queues, ["7"]);
  assert.deepEqual(filter.labels, { a: "b=c", d: "" });
  assert.equal(filterErrors(search).size, 0);
});

test("invalid values are reported and left out of the filter", () => {
  const search = parseFilter({ state: "lost", label: "=x", after: "soon" });
  assert.deepEqual([...filterErrors(search).keys()].toSorted(), ["after", "label", "state"]);
  assert.deepEqual(toJobFilter(search), { queues: [], kinds: [], states: [], labels: {} });
});

test("a bulk action requires a valid filter that restricts the jobs", () => {
  assert.ok(canRunBulk({ queue: "mail", state: "failed" }));
  for (const part of [{ state: "faild" }, { label: "tenant" }, { after: "soon" }])
    assert.ok(!canRunBulk({ queue: "mail", ...part }));
  for (const search of [{}, { queue: "," }, { after: "2026-01-01" }])
    assert.ok(!canRunBulk(search));
});

test("a spreadsheet does not run a cell as a formula", () => {
  assert.equal(csvCell("=1+1"), "'=1+1");
  assert.equal(csvCell("@x"), "'@x");
  assert.equal(csvCell('a "b", c'), '"a ""b"", c"');
  assert.equal(csvCell("plain"), "plain");
});

test("durations are parsed, and other text is not a duration", () => {
  assert.deepEqual(
    ["90s", "15m", "2h", "3d", "250ms", "1.5s"].map(parseDuration),
    [90e3, 9e5, 7.2e6, 2.592e8, 250, 1500],
  );
  for (const text of ["", "5", "s", "-1s", "1 week"])
    assert.equal(parseDuration(text), undefined, text);
});

test("a local time is converted to UTC and back", () => {
  const utc = fromLocalInput("2026-03-29T12:30:15");
  assert.match(utc, /Z$/);
  assert.equal(toLocalInput(Date.parse(utc)), "2026-03-29T12:30:15");
  assert.equal(fromLocalInput("soon"), "soon");
});

test("a draft is converted to a job spec, with the payload byte for byte", () => {
  const draft = {
    ...emptyDraft("q", "k"),
    payload: '{"n": 12345678901234567890}',
    labels: "a=b=c",
    when: "delay" as const,
    delay: "1.5s",
  };
  assert.equal(draftErrors(draft).size, 0);
  const spec = toJobSpec(draft);
  assert.equal(new TextDecoder().decode(spec.payload), draft.payload);
  assert.deepEqual(spec.labels, { a: "b=c" });
  assert.deepEqual(spec.delay, { seconds: 1n, nanos: 500_000_000 });
  const errors = draftErrors({ ...draft, queue: " ", delay: "soon", labels: "=x" });
  assert.deepEqual([...errors.keys()].toSorted(), ["delay", "labels", "queue"]);
});

test("the rate history keeps five minutes and drops removed queues", () => {
  const summary = (queue: string) =>
    create(WatchSummarySchema, { queues: [{ queue, enqueuedPerSecond: 1 }] });
  let history: ReturnType<typeof appendPoint> = new Map();
  for (let count = 0; count < POINTS_MAX + 10; count += 1)
    history = appendPoint(history, summary("a"));
  assert.equal(history.get("a")?.length, POINTS_MAX);
  assert.deepEqual([...appendPoint(history, summary("b")).keys()], ["b"]);
});
