/** Every verb of the client against the server at an address, for the tests of the server. */
import assert from "node:assert/strict";
import { ApiError, Client, JobState } from "../src/index.js";
import { AttemptOutcome, BulkAction, BulkOutcome, CancelOutcome } from "../src/proto.js";
import { tlsOptions } from "./tls.js";

const client = new Client(process.argv[2] ?? "", { actor: "verbs", ...tlsOptions });
const queue = "node";
const later = { kind: "demo.noop", queue, delayMs: 3_600_000 };

/** The ledger is a moment behind. */
async function until<T>(ask: () => Promise<T>, holds: (answer: T) => boolean): Promise<T> {
  for (;;) {
    const answer = await ask();
    if (holds(answer)) return answer;
  }
}

const { job } = await client.enqueue(later);
assert.equal(job.state, JobState.SCHEDULED);
assert.equal((await client.get(job.id)).id, job.id);
const unknown = "0190a5c2-0000-7000-8000-000000000000";
const found = await client.batchGet([unknown, job.id]);
assert.deepEqual([found[0], found[1]?.id], [undefined, job.id]);

const changed = { id: job.id, spec: { priority: 7 }, updateMask: { paths: ["priority"] } };
assert.equal((await client.update(changed)).spec?.priority, 7);

// Run ahead of its time, to its end, and once more.
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

const { job: talking } = await client.enqueue({ kind: "demo.progress", queue, payload: { steps: 2, step_ms: 1 } });
await client.waitForResult(talking.id);
const lines = async () => {
  const all = [];
  for await (const line of client.readLogs(talking.id)) all.push(line.text);
  return all;
};
assert.equal((await until(lines, (all) => all.length >= 2))[0], "step 1 of 2");

// All of a filter.
const items = await client.enqueueBatch([later, later, { ...later, kind: "" }]);
assert.deepEqual(items.map((item) => item.error === undefined), [true, true, false]);
const filter = { queues: [queue], states: [JobState.SCHEDULED] };
const listed = async () => {
  const ids = [];
  for await (const one of client.list(filter, { pageSize: 1 })) ids.push(one.id);
  return ids;
};
assert.equal((await until(listed, (ids) => ids.length >= 2)).length, 2);
const counts = await client.counts([queue]);
const scheduled = counts.queues[0]?.states.find(({ state }) => state === JobState.SCHEDULED);
assert.equal(scheduled?.count, 2n);
const action = BulkAction.CANCEL;
assert.equal((await client.bulk({ action, filter, dryRun: true })).matched, 2n);
const { counts: done } = await client.bulk({ action, filter });
assert.deepEqual(done.map(({ outcome, count }) => [outcome, count]), [[BulkOutcome.CANCELLED, 2n]]);

await client.delete(job.id);
await assert.rejects(client.get(job.id), (error) => error instanceof ApiError && error.reason === "JOB_NOT_FOUND");
const output = client.readOutput({ id: talking.id });
const pieces = [];
for await (const piece of output) pieces.push(piece);
assert.deepEqual(pieces, []);
client.close();
console.log("all verbs");
