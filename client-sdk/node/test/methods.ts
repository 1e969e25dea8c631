/** Calls every method of the client on the server at the given address. The server tests run it. */
import assert from "node:assert/strict";
import { ApiError, Client, defineJob, JobState } from "../src/index.js";
import { AttemptOutcome, BulkAction, BulkOutcome, CancelOutcome, QueueMode, QueueOrder } from "../src/proto.js";
import { tlsOptions } from "./tls.js";

const client = new Client(process.argv[2] ?? "", { actor: "methods", deadlineMs: 10_000, ...tlsOptions });
const queue = "node";
const delayed = { kind: "demo.noop", queue, delayMs: 3_600_000 };

/** Repeats a call until its result satisfies a condition: the ledger is updated with a delay. */
async function until<T>(call: () => Promise<T>, condition: (result: T) => boolean): Promise<T> {
  for (;;) {
    const result = await call();
    if (condition(result)) return result;
  }
}

const { job } = await client.enqueue(delayed);
assert.equal(job.state, JobState.SCHEDULED);
assert.equal((await client.get(job.id)).id, job.id);
const unknown = "0190a5c2-0000-7000-8000-000000000000";
const found = await client.batchGet([unknown, job.id]);
assert.deepEqual([found[0], found[1]?.id], [undefined, job.id]);

const update = { id: job.id, spec: { priority: 7 }, updateMask: { paths: ["priority"] } };
assert.equal((await client.update(update)).spec?.priority, 7);

// Runs the delayed job now, then retries it.
assert.equal((await client.runNow(job.id)).id, job.id);
assert.equal((await client.waitForResult(job.id)).state, JobState.SUCCEEDED);
assert.equal((await client.cancel(job.id)).outcome, CancelOutcome.ALREADY_TERMINAL);
assert.equal((await client.retry(job.id)).run, 2);
assert.equal((await client.waitForResult(job.id)).run, 2);
const attempts = async () => {
  const all = [];
  for await (const attempt of client.listAttempts(job.id, { pageSize: 1 })) all.push(attempt);
  return all;
};
const [newest] = await until(attempts, (all) => all.length >= 1);
assert.deepEqual([newest?.run, newest?.outcome], [2, AttemptOutcome.SUCCEEDED]);

const { job: logging } = await client.enqueue({ kind: "demo.progress", queue, payload: { steps: 2, step_ms: 1 } });
await client.waitForResult(logging.id);
const lines = async () => {
  const all = [];
  for await (const line of client.readLogs(logging.id)) all.push(line.text);
  return all;
};
assert.equal((await until(lines, (all) => all.length >= 2))[0], "step 1 of 2");

// Jobs selected by a filter.
const items = await client.enqueueBatch([delayed, delayed, { ...delayed, kind: "" }]);
assert.deepEqual(
  items.map((item) => item.error === undefined),
  [true, true, false],
);
const filter = { queues: [queue], states: [JobState.SCHEDULED] };
const listed = async () => {
  const ids = [];
  for await (const one of client.listAll(filter, { pageSize: 1 })) ids.push(one.id);
  return ids;
};
assert.equal((await until(listed, (ids) => ids.length >= 2)).length, 2);
const counts = await client.counts([queue]);
const scheduled = counts.queues[0]?.states.find(({ state }) => state === JobState.SCHEDULED);
assert.equal(scheduled?.count, 2n);
const action = BulkAction.CANCEL;
assert.equal((await client.bulk({ action, filter, dryRun: true })).matched, 2n);
const { counts: bulkCounts } = await client.bulk({ action, filter });
assert.deepEqual(
  bulkCounts.map(({ outcome, count }) => [outcome, count]),
  [[BulkOutcome.CANCELLED, 2n]],
);

// The short forms, and queues.
const short = await client.submit(defineJob<object, null>("demo.noop", { queue, delayMs: 3_600_000 }), {});
const changed = await client.update(short.id.toUpperCase(), { priority: 7, labels: { a: "b" }, runAt: null });
assert.deepEqual([changed.spec?.priority, changed.spec?.labels], [7, { a: "b" }]);
assert.equal(await short.result({ timeoutMs: 60_000 }), null);
const succeeded = async () => {
  const ids = [];
  for await (const { id } of client.list({ queues: [queue], states: ["succeeded"] })) ids.push(id);
  return ids;
};
await until(succeeded, (ids) => ids.includes(short.id));
await client.queues.create("node-settings", { order: "strict" });
const settings = await client.queues.update("node-settings", { priorityBoostMs: 5_000 });
assert.deepEqual([settings.order, settings.priorityBoost?.seconds], [QueueOrder.STRICT, 5n]);
assert.equal((await client.queues.pause("node-settings")).mode, QueueMode.PAUSED);
assert.equal((await client.queues.drain("node-settings")).mode, QueueMode.DRAINING);
await client.queues.resume("node-settings");
assert.equal((await client.queues.get("node-settings")).mode, QueueMode.OPEN);
const names = [];
for await (const { name } of client.queues.list({ pageSize: 1 })) names.push(name);
assert.ok(names.includes("node-settings"));
// A thousand calls at once, and as many waits.
const burst = await Promise.all(Array.from({ length: 1_000 }, () => client.enqueue({ kind: "demo.noop", queue })));
const finished = await Promise.all(burst.map(({ job }) => client.waitForResult(job.id)));
assert.ok(finished.every(({ state }) => state === JobState.SUCCEEDED));

await client.delete(job.id);
await assert.rejects(client.get(job.id), (error) => error instanceof ApiError && error.reason === "JOB_NOT_FOUND");
const chunks = [];
for await (const chunk of client.readOutput({ id: logging.id })) chunks.push(chunk);
assert.deepEqual(chunks, []);
client.close();
console.log("all methods");
