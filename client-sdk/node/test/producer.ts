/**
 * What an application does, for the test of the languages together: `watch` notes every event of all
 * jobs; `produce COUNT FILE` enqueues, cancels some, waits for the ends. One JSON value a line.
 */
import { randomUUID } from "node:crypto";
import { Client, JobState, JobView, TransportError, ApiError } from "../src/index.js";
import type { Job } from "../src/proto.js";

const [endpoint = "", mode, count, file] = process.argv.slice(2);
const client = new Client(endpoint, { actor: "node" });
const tell = (value: unknown) => process.stdout.write(`${JSON.stringify(value)}\n`);
const look = (job: Job) => [
  job.id,
  Number(job.version),
  job.state,
  job.reason,
  job.run,
  job.attempt,
  new TextDecoder().decode(job.result),
];

/** The server is killed meanwhile: what got no answer is asked again, under the same request id. */
async function insist<T>(call: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await call();
    } catch (error) {
      const passes = error instanceof TransportError || (error instanceof ApiError && error.reason === "SHUTTING_DOWN");
      if (!passes) throw error;
    }
  }
}

if (mode === "watch") {
  for await (const event of client.watch({ filter: {}, view: JobView.FULL })) {
    if (event.case === "snapshot") tell({ snapshot: event.value.jobs.map(look) });
    if (event.case === "change" && event.value.job) tell({ change: look(event.value.job) });
    if (event.case === "gap") tell({ gap: true });
  }
} else {
  const total = Number(count);
  const job = (n: number) => ({
    kind: "demo.effect",
    payload: { file, ms: n % 5 === 0 ? 2_000 : 50 },
    retry: { maxAttempts: 50, baseMs: 20 },
  });
  const ids: string[] = [];
  for (let n = 0; n < total; n += 1) {
    const requestId = randomUUID();
    if (n % 4 === 3) {
      const items = await insist(() => client.enqueueBatch([job(n), job(n + 1)], { requestId }));
      for (const item of items) if (item.job) ids.push(item.job.id);
    } else {
      ids.push((await insist(() => client.enqueue(job(n), { requestId }))).job.id);
    }
    const last = ids.at(-1);
    if (n % 10 === 5 && last !== undefined) await insist(() => client.cancel(last));
    tell({ enqueued: ids.length });
  }
  const ends = await Promise.all(ids.map((id) => client.waitForResult(id)));
  const cancelled = ends.filter((end) => end.state === JobState.CANCELLED).length;
  tell({ ids, cancelled });
  client.close();
}
