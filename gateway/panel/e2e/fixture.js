// A server with a worker and a gateway, and Chromium to open the panel in.
import { after } from "node:test";
import { demo, JobService, QueueService, State, webClient } from "../../tests/web/harness/api.js";
import { openPage, startBrowser } from "../../tests/web/harness/browser.js";
import { TestEnvironment } from "../../tests/web/harness/environment.js";
import { until } from "../../tests/web/harness/wait.js";

/** Starts a fixture that stops after the last test of the file. With `requiresKey`, the server
 * requires an API key, and `credential` is the key of an admin. */
export async function startFixture({ requiresKey = false, worker = [], gateway = [] } = {}) {
  const env = await TestEnvironment.start({
    server: requiresKey ? ["--credentials", "required"] : [],
    // No limits, because all pages of the tests share one client address.
    gateway: ["--requests-per-second", "0", "--in-flight-max", "0", ...gateway],
  });
  after(() => env.stop());
  const browser = await startBrowser();
  after(() => browser.close());
  const headers = {};
  let credential;
  if (requiresKey) {
    ({ credential } = await env.key("root", "admin"));
    headers.authorization = `Bearer ${credential}`;
  }
  const jobs = webClient(JobService, env.url, { headers });
  const queues = webClient(QueueService, env.url, { headers });
  await until("the server responds", () => jobs.counts({}));
  const workerEnv = credential ? { SENTINEL_CREDENTIAL: credential } : {};
  const workerProcess = await env.startWorker(worker, workerEnv);
  const open = (path = "/", options = {}) => openPage(browser, `${env.url}${path}`, options);
  return { env, browser, jobs, queues, credential, open, worker: workerProcess };
}

/** Enqueues a job of a demo kind and returns its id. */
export async function enqueue({ jobs }, kind, payload = {}, more = {}) {
  const { job } = await jobs.enqueue({ spec: demo(kind, payload, more) });
  return job.id;
}

/** Waits until a job is in a state, and returns the job. */
export async function inState({ jobs }, id, state) {
  return until(`${id} is ${state}`, async () => {
    const { job } = await jobs.get({ id });
    return job.state === State[state] && job;
  });
}

const NO_RETRY = { maxAttempts: 1 };
const HOUR = { seconds: 3600n };

/** Enqueues a job for every state, except blocked and expired. Returns their ids by state. */
export async function inEveryState(fixture) {
  const labels = { customer: "acme" };
  const ids = {
    running: await enqueue(fixture, "sleep", { ms: 3_600_000 }, { labels }),
    succeeded: await enqueue(fixture, "progress", { steps: 5, step_ms: 10 }, { labels }),
    failed: await enqueue(fixture, "fail", { message: "connection refused" }, { retry: NO_RETRY }),
    cancelled: await enqueue(fixture, "echo", { order: 42 }, { delay: HOUR }),
    scheduled: await enqueue(fixture, "echo", { order: 43 }, { delay: HOUR, priority: 5 }),
    ready: await enqueue(fixture, "noop", {}, { queue: "mail" }),
  };
  await fixture.jobs.cancel({ id: ids.cancelled, reason: "not needed" });
  await inState(fixture, ids.running, "RUNNING");
  await inState(fixture, ids.succeeded, "SUCCEEDED");
  await inState(fixture, ids.failed, "FAILED");
  return ids;
}

/** The server's limit of jobs per batch. */
const BATCH_SIZE = 1000;

/** Enqueues many jobs. By default they do not start, because no worker serves their queue. */
export async function enqueueMany({ jobs }, count, spec = demo("noop", {}, { queue: "many" })) {
  for (let left = count; left > 0; left -= BATCH_SIZE) {
    const specs = Array.from({ length: Math.min(BATCH_SIZE, left) }, () => spec);
    await jobs.enqueueBatch({ specs });
  }
}
