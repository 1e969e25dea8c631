/**
 * What an application does, for the test of the languages together, one JSON value a line.
 *
 * `watch CURSOR` notes every event of all jobs. `produce SEED FROM EFFECTS STOP` enqueues, cancels,
 * follows and retries until the file STOP is there. Its calls have request ids that a restart finds
 * again, so it may be killed at any time and begin anew a little before where it was.
 */
import { existsSync, readFileSync } from "node:fs";
import { ApiError, Client, Code, JobState, JobView, TransportError } from "../src/index.js";
import { CancelOutcome, type Job } from "../src/proto.js";

const [endpoint = "", mode = "", ...rest] = process.argv.slice(2);
const credential = process.env.TEST_CREDENTIAL;
const client = new Client(endpoint, { actor: "node", ...(credential === undefined ? {} : { credential }) });
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
      const passes = error instanceof TransportError || (error instanceof ApiError && error.code === Code.Unavailable);
      if (!passes) throw error;
    }
  }
}

/** mulberry32: the same numbers for the same step after every restart. */
function dice(seed: number): () => number {
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
    const where = { cursor: events.cursor };
    if (event.case === "snapshot") tell({ ...where, snapshot: event.value.jobs.map(look) });
    if (event.case === "change" && event.value.job) tell({ ...where, change: look(event.value.job) });
    if (event.case === "gap") tell({ ...where, gap: true });
  }
}

async function cancel(id: string, effects: string): Promise<void> {
  const { outcome, job } = await insist(() => client.cancel(id));
  if (outcome === CancelOutcome.ALREADY_TERMINAL) return;
  const lines = existsSync(effects) ? readFileSync(effects, "utf8").split("\n").length - 1 : 0;
  tell({ cancelled: [id, job.run, Number(job.version), lines] });
}

async function step(seed: string, n: number, effects: string): Promise<void> {
  const roll = dice(Number(seed) * 10_007 + n);
  const job = () => ({
    kind: "demo.effect",
    payload: { file: effects, ms: roll() < 0.1 ? 2_000 : Math.floor(roll() * 400) },
    retry: { maxAttempts: 50, baseMs: 20 },
  });
  const requestId = `node-${seed}-${n}`;
  let ids: string[];
  if (roll() < 0.25) {
    const jobs = [job(), job(), job()];
    const items = await insist(() => client.enqueueBatch(jobs, { requestId }));
    ids = items.flatMap((item) => (item.job ? [item.job.id] : []));
  } else {
    const one = job();
    ids = [(await insist(() => client.enqueue(one, { requestId }))).job.id];
  }
  tell({ step: n, request: requestId, ids });
  const [id = ""] = ids;
  if (roll() < 0.3) await cancel(id, effects);
  if (roll() < 0.4) {
    const end = await client.waitForResult(id);
    tell({ ended: look(end) });
    if (end.state === JobState.CANCELLED && roll() < 0.5) {
      const { run } = await insist(() => client.retry(id, { requestId: `${requestId}-retry` }));
      tell({ retried: [id, run] });
    }
  }
}

// What a killed process was writing ends here.
process.stdout.write("\n");
if (mode === "watch") {
  await watch(rest[0] ?? "");
} else {
  const [seed = "", from, effects = "", stop = ""] = rest;
  for (let n = Number(from); !existsSync(stop); n += 1) await step(seed, n, effects);
  client.close();
}
