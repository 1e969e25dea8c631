/**
 * An application for the tests with several languages. It prints one JSON value per line.
 *
 * `watch CURSOR` prints every event of all jobs. `produce SEED FROM EFFECTS STOP` enqueues, cancels, awaits and
 * retries jobs until the file STOP exists. The request ids of its calls depend on the seed and the step only,
 * so that it can be killed at any time and restarted a few steps earlier.
 */
import { existsSync, readFileSync } from "node:fs";
import { ApiError, Client, Code, JobState, JobView, TransportError } from "../src/index.js";
import { CancelOutcome, type Job } from "../src/proto.js";

const [endpoint = "", mode = "", ...rest] = process.argv.slice(2);
const credential = process.env.TEST_CREDENTIAL;
const client = new Client(endpoint, { actor: "node", ...(credential === undefined ? {} : { credential }) });
const print = (value: unknown) => process.stdout.write(`${JSON.stringify(value)}\n`);
const summary = (job: Job) => [
  job.id,
  Number(job.version),
  job.state,
  job.reason,
  job.run,
  job.attempt,
  new TextDecoder().decode(job.result),
];

/** Repeats a call while the server is unavailable: the test kills it. */
async function retryForever<T>(call: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await call();
    } catch (error) {
      const isTransient =
        error instanceof TransportError || (error instanceof ApiError && error.code === Code.Unavailable);
      if (!isTransient) throw error;
    }
  }
}

/** The mulberry32 generator. A restarted producer gets the same numbers for the same step. */
function random(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

async function watch(cursor: string): Promise<void> {
  const events = client.watch({ filter: {}, view: JobView.FULL, cursor });
  for await (const event of events) {
    const { cursor } = events;
    if (event.case === "snapshot") print({ cursor, snapshot: event.value.jobs.map(summary) });
    if (event.case === "change" && event.value.job) print({ cursor, change: summary(event.value.job) });
    if (event.case === "gap") print({ cursor, gap: true });
  }
}

async function cancel(id: string, effects: string): Promise<void> {
  const { outcome, job } = await retryForever(() => client.cancel(id));
  if (outcome === CancelOutcome.ALREADY_TERMINAL) return;
  const lines = existsSync(effects) ? readFileSync(effects, "utf8").split("\n").length - 1 : 0;
  print({ cancelled: [id, job.run, Number(job.version), lines] });
}

async function step(seed: string, n: number, effects: string): Promise<void> {
  const rng = random(Number(seed) * 10_007 + n);
  const job = () => ({
    kind: "demo.effect",
    payload: { file: effects, ms: rng() < 0.1 ? 2_000 : Math.floor(rng() * 400) },
    retry: { maxAttempts: 50, baseMs: 20 },
  });
  const requestId = `node-${seed}-${n}`;
  let ids: string[];
  if (rng() < 0.25) {
    const jobs = [job(), job(), job()];
    const items = await retryForever(() => client.enqueueBatch(jobs, { requestId }));
    ids = items.flatMap((item) => (item.job ? [item.job.id] : []));
  } else {
    const newJob = job();
    ids = [(await retryForever(() => client.enqueue(newJob, { requestId }))).job.id];
  }
  print({ step: n, request: requestId, ids });
  const [id = ""] = ids;
  if (rng() < 0.3) await cancel(id, effects);
  if (rng() < 0.4) {
    const finished = await client.waitForResult(id);
    print({ finished: summary(finished) });
    if (finished.state === JobState.CANCELLED && rng() < 0.5) {
      const { run } = await retryForever(() => client.retry(id, { requestId: `${requestId}-retry` }));
      print({ retried: [id, run] });
    }
  }
}

// Completes the line that a killed process may have left unfinished.
process.stdout.write("\n");
if (mode === "watch") {
  await watch(rest[0] ?? "");
} else {
  const [seed = "", from, effects = "", stop = ""] = rest;
  for (let n = Number(from); !existsSync(stop); n += 1) await step(seed, n, effects);
  client.close();
}
