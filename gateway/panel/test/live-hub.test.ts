// One stream for the tab: the union of what is looked at, resumed where it broke, never asked for
// more often than it may be, and drawn once a frame.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Code, ConnectError } from "@connectrpc/connect";
import { JobState } from "../src/gen/sentinel/jobs/v1/job_pb";
import { GapReason } from "../src/gen/sentinel/jobs/v1/job_service_pb";
import { A, B, job, Scene, until } from "./scene";

const { RUNNING, SUCCEEDED } = JobState;

/** A scene that shows one running job, live. */
async function watching(id = A): Promise<Scene> {
  const scene = new Scene();
  scene.hub.follow({ ids: [id] });
  scene.pass(50);
  const first = await scene.stream(1);
  first.snapshot([job(id, RUNNING)], "c1");
  await until(() => scene.hub.line().is === "live");
  return scene;
}

test("what several parts of a screen follow is one stream, with the summary", async () => {
  const scene = new Scene();
  scene.hub.follow({});
  scene.hub.follow({ ids: [A] });
  scene.hub.follow({ ids: [B, A], logs: true });
  scene.pass(50);
  const { ids, request } = await scene.stream(1);
  assert.deepEqual(ids.toSorted(), [A, B]);
  assert.ok(request.summary);
  assert.equal(request.includeLogs, true);
  assert.equal(scene.streams.length, 1);
});

test("a union that grows is opened anew once, the old stream is given up", async () => {
  const scene = await watching();
  scene.hub.follow({ ids: [B] });
  scene.hub.follow({ ids: [B] });
  scene.pass(50);
  const second = await scene.stream(2);
  assert.deepEqual(second.ids.toSorted(), [A, B]);
  assert.equal(second.request.cursor, "", "a cursor is of one selection");
  await until(() => scene.streams[0]!.signal.aborted);
  scene.pass(1_000);
  assert.equal(scene.streams.length, 2);
});

test("of more than 100 jobs the newest wish comes first", async () => {
  const scene = new Scene();
  const many = Array.from({ length: 100 }, (_, n) => A.slice(0, -3) + String(n).padStart(3, "0"));
  scene.hub.follow({ ids: many });
  scene.hub.follow({ ids: [B] });
  scene.pass(50);
  const { ids } = await scene.stream(1);
  assert.equal(ids.length, 100);
  assert.ok(ids.includes(B));
});

test("a stream that broke resumes after its last event, with longer and longer pauses", async () => {
  const scene = await watching();
  scene.streams[0]!.send({ case: "keepalive", value: {} }, "c2");
  scene.streams[0]!.fail(new ConnectError("gone", Code.Unavailable));
  await until(() => scene.hub.line().is === "lost");
  const opened: number[] = [];
  for (let count = 2; count <= 8; count += 1) {
    const before = scene.now;
    while (scene.streams.length < count) {
      scene.pass(100);
      await new Promise((next) => setImmediate(next));
    }
    opened.push(scene.now - before);
    const stream = await scene.stream(count);
    assert.equal(stream.request.cursor, "c2");
    stream.fail(new ConnectError("gone", Code.Unavailable));
    await new Promise((next) => setImmediate(next));
  }
  assert.ok(opened[0]! >= 500 && opened[0]! <= 700, `first pause ${opened[0]}`);
  assert.ok(
    opened.every((pause) => pause <= 10_200),
    `pauses ${opened.join()}`,
  );
  assert.ok(opened.at(-1)! >= 9_000, `last pause ${opened.at(-1)}`);
});

test("a gap is followed by a snapshot, which is what is shown", async () => {
  const scene = await watching();
  scene.streams[0]!.send({ case: "gap", value: { reason: GapReason.TRIMMED } });
  scene.streams[0]!.snapshot([job(A, RUNNING, 7n, 4n)], "c9");
  await until(() => scene.hub.job(A)?.version === 7n);
  assert.equal(scene.hub.job(A)?.progress?.done, 4n);
  assert.equal(scene.hub.line().is, "live");
});

test("an older version that comes late changes nothing", async () => {
  const scene = await watching();
  scene.hub.put(job(A, SUCCEEDED, 5n));
  scene.streams[0]!.send({ case: "change", value: { job: job(A, RUNNING, 4n) } }, "c2");
  scene.streams[0]!.snapshot([job(B, RUNNING)], "c3");
  await until(() => scene.hub.job(B) !== undefined);
  assert.equal(scene.hub.job(A)?.state, SUCCEEDED);
});

test("a watch that ends with its jobs goes on with the summary alone, and is not lost", async () => {
  const scene = await watching();
  scene.streams[0]!.send({ case: "change", value: { job: job(A, SUCCEEDED, 2n) } }, "c2");
  scene.streams[0]!.end();
  await until(() => scene.hub.job(A)?.state === SUCCEEDED);
  await until(() => {
    scene.pass(50);
    return scene.streams.length === 2;
  });
  assert.deepEqual(scene.streams[1]!.ids, []);
  assert.equal(scene.streams[1]!.request.cursor, "");
  assert.notEqual(scene.hub.line().is, "lost");
});

test("a server that ends streams at once is not asked again without a pause", async () => {
  const scene = await watching();
  scene.streams[0]!.end();
  await until(() => scene.hub.line().is === "lost");
  scene.pass(400);
  await new Promise((next) => setImmediate(next));
  assert.equal(scene.streams.length, 1);
});

test("a job that no server knows does not make the line lost", async () => {
  const scene = new Scene();
  scene.hub.follow({ ids: [A] });
  scene.pass(50);
  (await scene.stream(1)).fail(new ConnectError("no such job", Code.NotFound));
  await until(() => scene.hub.isUnknown(A));
  scene.pass(50);
  const second = await scene.stream(2);
  assert.deepEqual(second.ids, []);
  second.send({ case: "summary", value: { queues: [{ queue: "q" }] } });
  await until(() => scene.hub.line().is === "live");
  assert.equal(scene.hub.summary()?.queues[0]?.queue, "q");
});

test("what is no id is not asked for", async () => {
  const scene = new Scene();
  scene.hub.follow({ ids: ["../etc", A] });
  scene.pass(50);
  assert.deepEqual((await scene.stream(1)).ids, [A]);
});

test("a stream that never answers, or falls silent, is lost", async () => {
  const scene = new Scene();
  scene.hub.follow({});
  scene.pass(50);
  const first = await scene.stream(1);
  scene.pass(15_000);
  assert.equal(scene.hub.line().is, "lost");
  await until(() => first.signal.aborted);
  scene.pass(1_000);
  (await scene.stream(2)).send({ case: "summary", value: {} });
  await until(() => scene.hub.line().is === "live");
  scene.pass(15_000);
  assert.equal(scene.hub.line().is, "lost");
});

test("a page that nobody sees has no stream until it is seen", async () => {
  const scene = await watching();
  scene.hub.pause();
  scene.hub.follow({ ids: [B] });
  scene.pass(60_000);
  await until(() => scene.streams[0]!.signal.aborted);
  // A call is handed on within a few turns of the loop: none may be on its way.
  for (let turn = 0; turn < 20; turn += 1) await new Promise((next) => setImmediate(next));
  assert.equal(scene.streams.length, 1);
  scene.hub.resume();
  scene.pass(50);
  assert.deepEqual((await scene.stream(2)).ids.toSorted(), [A, B]);
});

test("what changes a thousand times between two frames is drawn once", async () => {
  const scene = await watching();
  scene.draw();
  let drawn = 0;
  scene.hub.subscribe(() => (drawn += 1));
  for (let seq = 1n; seq <= 1_000n; seq += 1n) {
    const value = { id: A, attempt: 1, progress: { seq, done: seq, total: 1_000n } };
    scene.streams[0]!.send({ case: "progress", value });
  }
  await until(() => scene.hub.job(A)?.progress?.done === 1_000n);
  assert.equal(drawn, 0);
  scene.draw();
  scene.draw();
  assert.equal(drawn, 1);
});

test("a job that is followed for long does not keep the others in memory", async () => {
  const scene = await watching();
  const ids = Array.from({ length: 6_000 }, (_, n) => A.slice(0, -6) + String(n).padStart(6, "0"));
  for (const id of ids) scene.hub.put(job(id, SUCCEEDED));
  const kept = ids.filter((id) => scene.hub.job(id));
  assert.ok(kept.length <= 5_000, `${kept.length} kept`);
  assert.ok(scene.hub.job(ids.at(-1)!));
  assert.ok(scene.hub.job(A), "it is looked at");
});

test("log lines go to those who listen, and each stream that begins is counted", async () => {
  const scene = await watching();
  const heard: string[] = [];
  scene.hub.onLogs((id, lines) => heard.push(...lines.map(({ text }) => `${id === A} ${text}`)));
  scene.streams[0]!.send({
    case: "log",
    value: { id: A, lines: [{ text: "one" }, { text: "two" }] },
  });
  await until(() => heard.length === 2);
  assert.deepEqual(heard, ["true one", "true two"]);
  assert.equal(scene.hub.begun(), 1);
  scene.streams[0]!.fail(new ConnectError("gone", Code.Unavailable));
  await until(() => scene.hub.line().is === "lost");
  scene.pass(600);
  (await scene.stream(2)).send({ case: "keepalive", value: {} }, "c3");
  await until(() => scene.hub.begun() === 2);
});
