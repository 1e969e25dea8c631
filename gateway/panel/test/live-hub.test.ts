// Tests of the LiveHub: one stream for all subscriptions, resume, retry delays, and at most one
// notification per frame.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Code, ConnectError } from "@connectrpc/connect";
import { JobState } from "../src/gen/sentinel/jobs/v1/job_pb";
import { GapReason } from "../src/gen/sentinel/jobs/v1/job_service_pb";
import { A, B, HubFixture, job, runPending, until } from "./fixture";

const { RUNNING, SUCCEEDED } = JobState;

/** Returns a fixture that follows one running job on a live stream. */
async function followingOneJob(id = A): Promise<HubFixture> {
  const fixture = new HubFixture();
  fixture.hub.follow({ ids: [id] });
  fixture.advance(50);
  const first = await fixture.stream(1);
  first.sendSnapshot([job(id, RUNNING)], "c1");
  await until(() => fixture.hub.connection().status === "live");
  return fixture;
}

test("all subscriptions share one stream, which includes the summary", async () => {
  const fixture = new HubFixture();
  fixture.hub.follow({});
  fixture.hub.follow({ ids: [A] });
  fixture.hub.follow({ ids: [B, A], logs: true });
  fixture.advance(50);
  const { ids, request } = await fixture.stream(1);
  assert.deepEqual(ids.toSorted(), [A, B]);
  assert.ok(request.summary);
  assert.equal(request.includeLogs, true);
  assert.equal(fixture.streams.length, 1);
});

test("new subscriptions reopen the stream once and abort the old stream", async () => {
  const fixture = await followingOneJob();
  fixture.hub.follow({ ids: [B] });
  fixture.hub.follow({ ids: [B] });
  fixture.advance(50);
  const second = await fixture.stream(2);
  assert.deepEqual(second.ids.toSorted(), [A, B]);
  assert.equal(second.request.cursor, "", "a cursor is valid only for the same subscriptions");
  await until(() => fixture.streams[0]!.signal.aborted);
  fixture.advance(1_000);
  assert.equal(fixture.streams.length, 2);
});

test("over the limit of 100 jobs the newest subscription takes precedence", async () => {
  const fixture = new HubFixture();
  const many = Array.from({ length: 100 }, (_, n) => A.slice(0, -3) + String(n).padStart(3, "0"));
  fixture.hub.follow({ ids: many });
  fixture.hub.follow({ ids: [B] });
  fixture.advance(50);
  const { ids } = await fixture.stream(1);
  assert.equal(ids.length, 100);
  assert.ok(ids.includes(B));
});

test("a failed stream resumes from its cursor with increasing retry delays", async () => {
  const fixture = await followingOneJob();
  fixture.streams[0]!.send({ case: "keepalive", value: {} }, "c2");
  fixture.streams[0]!.fail(new ConnectError("gone", Code.Unavailable));
  await until(() => fixture.hub.connection().status === "lost");
  const delays: number[] = [];
  for (let count = 2; count <= 8; count += 1) {
    const before = fixture.now;
    while (fixture.streams.length < count) {
      fixture.advance(100);
      await runPending();
    }
    delays.push(fixture.now - before);
    const stream = await fixture.stream(count);
    assert.equal(stream.request.cursor, "c2");
    stream.fail(new ConnectError("gone", Code.Unavailable));
    await runPending();
  }
  assert.ok(delays[0]! >= 500 && delays[0]! <= 700, `first delay ${delays[0]}`);
  assert.ok(
    delays.every((delay) => delay <= 10_200),
    `delays ${delays.join()}`,
  );
  assert.ok(delays.at(-1)! >= 9_000, `last delay ${delays.at(-1)}`);
});

test("the snapshot after a gap replaces the job", async () => {
  const fixture = await followingOneJob();
  fixture.streams[0]!.send({ case: "gap", value: { reason: GapReason.TRIMMED } });
  fixture.streams[0]!.sendSnapshot([job(A, RUNNING, 7n, 4n)], "c9");
  await until(() => fixture.hub.job(A)?.version === 7n);
  assert.equal(fixture.hub.job(A)?.progress?.done, 4n);
  assert.equal(fixture.hub.connection().status, "live");
});

test("an older version of a job is ignored", async () => {
  const fixture = await followingOneJob();
  fixture.hub.put(job(A, SUCCEEDED, 5n));
  fixture.streams[0]!.send({ case: "change", value: { job: job(A, RUNNING, 4n) } }, "c2");
  fixture.streams[0]!.sendSnapshot([job(B, RUNNING)], "c3");
  await until(() => fixture.hub.job(B) !== undefined);
  assert.equal(fixture.hub.job(A)?.state, SUCCEEDED);
});

test("a watch that ends because its jobs are terminal is replaced by a summary stream", async () => {
  const fixture = await followingOneJob();
  fixture.streams[0]!.send({ case: "change", value: { job: job(A, SUCCEEDED, 2n) } }, "c2");
  fixture.streams[0]!.end();
  await until(() => fixture.hub.job(A)?.state === SUCCEEDED);
  await until(() => {
    fixture.advance(50);
    return fixture.streams.length === 2;
  });
  assert.deepEqual(fixture.streams[1]!.ids, []);
  assert.equal(fixture.streams[1]!.request.cursor, "");
  assert.notEqual(fixture.hub.connection().status, "lost");
});

test("the hub waits before it reopens a stream that the server closed", async () => {
  const fixture = await followingOneJob();
  fixture.streams[0]!.end();
  await until(() => fixture.hub.connection().status === "lost");
  fixture.advance(400);
  await runPending();
  assert.equal(fixture.streams.length, 1);
});

test("an unknown job does not count as a lost connection", async () => {
  const fixture = new HubFixture();
  fixture.hub.follow({ ids: [A] });
  fixture.advance(50);
  (await fixture.stream(1)).fail(new ConnectError("no such job", Code.NotFound));
  await until(() => fixture.hub.isUnknown(A));
  fixture.advance(50);
  const second = await fixture.stream(2);
  assert.deepEqual(second.ids, []);
  second.send({ case: "summary", value: { queues: [{ queue: "q" }] } });
  await until(() => fixture.hub.connection().status === "live");
  assert.equal(fixture.hub.summary()?.queues[0]?.queue, "q");
});

test("an invalid id is not requested", async () => {
  const fixture = new HubFixture();
  fixture.hub.follow({ ids: ["../etc", A] });
  fixture.advance(50);
  assert.deepEqual((await fixture.stream(1)).ids, [A]);
});

test("a stream that never responds, or becomes silent, counts as lost", async () => {
  const fixture = new HubFixture();
  fixture.hub.follow({});
  fixture.advance(50);
  const first = await fixture.stream(1);
  fixture.advance(15_000);
  assert.equal(fixture.hub.connection().status, "lost");
  await until(() => first.signal.aborted);
  fixture.advance(1_000);
  (await fixture.stream(2)).send({ case: "summary", value: {} });
  await until(() => fixture.hub.connection().status === "live");
  fixture.advance(15_000);
  assert.equal(fixture.hub.connection().status, "lost");
});

test("a paused hub has no stream until it is resumed", async () => {
  const fixture = await followingOneJob();
  fixture.hub.pause();
  fixture.hub.follow({ ids: [B] });
  fixture.advance(60_000);
  await until(() => fixture.streams[0]!.signal.aborted);
  // A call reaches the server within a few turns of the event loop.
  for (let turn = 0; turn < 20; turn += 1) await runPending();
  assert.equal(fixture.streams.length, 1);
  fixture.hub.resume();
  fixture.advance(50);
  assert.deepEqual((await fixture.stream(2)).ids.toSorted(), [A, B]);
});

test("a thousand changes between two frames are one notification", async () => {
  const fixture = await followingOneJob();
  fixture.drawFrame();
  let notifications = 0;
  fixture.hub.subscribe(() => {
    notifications += 1;
  });
  for (let seq = 1n; seq <= 1_000n; seq += 1n) {
    const value = { id: A, attempt: 1, progress: { seq, done: seq, total: 1_000n } };
    fixture.streams[0]!.send({ case: "progress", value });
  }
  await until(() => fixture.hub.job(A)?.progress?.done === 1_000n);
  assert.equal(notifications, 0);
  fixture.drawFrame();
  fixture.drawFrame();
  assert.equal(notifications, 1);
});

test("old jobs that are not followed are evicted", async () => {
  const fixture = await followingOneJob();
  const ids = Array.from({ length: 6_000 }, (_, n) => A.slice(0, -6) + String(n).padStart(6, "0"));
  for (const id of ids) fixture.hub.put(job(id, SUCCEEDED));
  const kept = ids.filter((id) => fixture.hub.job(id));
  assert.ok(kept.length <= 5_000, `${kept.length} kept`);
  assert.ok(fixture.hub.job(ids.at(-1)!));
  assert.ok(fixture.hub.job(A), "a followed job is kept");
});

test("log lines reach the listeners, and streams are counted", async () => {
  const fixture = await followingOneJob();
  const received: string[] = [];
  fixture.hub.onLogs((id, lines) =>
    received.push(...lines.map(({ text }) => `${id === A} ${text}`)),
  );
  fixture.streams[0]!.send({
    case: "log",
    value: { id: A, lines: [{ text: "one" }, { text: "two" }] },
  });
  await until(() => received.length === 2);
  assert.deepEqual(received, ["true one", "true two"]);
  assert.equal(fixture.hub.streamCount(), 1);
  fixture.streams[0]!.fail(new ConnectError("gone", Code.Unavailable));
  await until(() => fixture.hub.connection().status === "lost");
  fixture.advance(600);
  (await fixture.stream(2)).send({ case: "keepalive", value: {} }, "c3");
  await until(() => fixture.hub.streamCount() === 2);
});
