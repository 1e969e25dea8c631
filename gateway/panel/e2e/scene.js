// A panel in Chromium before a real server with a real worker, and jobs in every state.
import { after } from "node:test";
import { openPage, startBrowser } from "../../tests/web/harness/browser.js";
import {
  demo,
  JobService,
  QueueService,
  State,
  webClient,
} from "../../tests/web/harness/contract.js";
import { until } from "../../tests/web/harness/wait.js";
import { World } from "../../tests/web/harness/world.js";

/** Of one test file; all of it ends with the file. */
export async function scene({ isLocked = false, worker = [], gateway = [] } = {}) {
  const world = await World.start({
    server: isLocked ? ["--credentials", "required"] : [],
    // A browser with many tests in it is one client.
    gateway: ["--requests-per-second", "0", "--in-flight-max", "0", ...gateway],
  });
  after(() => world.stop());
  const browser = await startBrowser();
  after(() => browser.close());
  const headers = {};
  let credential;
  if (isLocked) {
    ({ credential } = await world.key("root", "admin"));
    headers.authorization = `Bearer ${credential}`;
  }
  const jobs = webClient(JobService, world.url, { headers });
  const queues = webClient(QueueService, world.url, { headers });
  await until("the server answers", () => jobs.counts({}));
  const fleet = await world.startWorker(
    worker,
    credential ? { SENTINEL_CREDENTIAL: credential } : {},
  );
  const open = (path = "/", options = {}) => openPage(browser, `${world.url}${path}`, options);
  return { world, browser, jobs, queues, credential, open, worker: fleet };
}

/** Enqueues one job of a demo kind; answers its id. */
export async function enqueue({ jobs }, kind, payload = {}, more = {}) {
  const { job } = await jobs.enqueue({ spec: demo(kind, payload, more) });
  return job.id;
}

export async function inState({ jobs }, id, state) {
  return until(`${id} is ${state}`, async () => {
    const { job } = await jobs.get({ id });
    return job.state === State[state] && job;
  });
}

const ONCE = { maxAttempts: 1 };
const HOUR = { seconds: 3600n };

/** A job in each state, with what a reader looks for in it; answers their ids. */
export async function inEveryState(scene) {
  const ids = {
    running: await enqueue(scene, "sleep", { ms: 3_600_000 }, { labels: { customer: "acme" } }),
    succeeded: await enqueue(
      scene,
      "progress",
      { steps: 5, step_ms: 10 },
      { labels: { customer: "acme" } },
    ),
    failed: await enqueue(scene, "fail", { message: "the printer is on fire" }, { retry: ONCE }),
    cancelled: await enqueue(scene, "echo", { order: 42 }, { delay: HOUR }),
    scheduled: await enqueue(scene, "echo", { order: 43 }, { delay: HOUR, priority: 5 }),
    ready: await enqueue(scene, "noop", {}, { queue: "mail" }),
  };
  await scene.jobs.cancel({ id: ids.cancelled, reason: "not needed" });
  await inState(scene, ids.running, "RUNNING");
  await inState(scene, ids.succeeded, "SUCCEEDED");
  await inState(scene, ids.failed, "FAILED");
  return ids;
}

/** Enqueues many jobs that do not start, in batches as large as the server takes. */
export async function enqueueMany({ jobs }, count, spec = demo("noop", {}, { queue: "many" })) {
  const BATCH = 1000;
  for (let left = count; left > 0; left -= BATCH) {
    const specs = Array.from({ length: Math.min(BATCH, left) }, () => spec);
    await jobs.enqueueBatch({ specs });
  }
}
