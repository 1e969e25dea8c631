// Tests of `sentinel dev`: server, worker and gateway in one process.
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { demo, JobService, State, webClient } from "../harness/api.js";
import { TestEnvironment } from "../harness/environment.js";
import { Process, program } from "../harness/process.js";
import { within } from "../harness/wait.js";

/** The URL of the gateway in its output. */
const GATEWAY_URL = /^Panel: (http:\/\/127\.0\.0\.1:\d+)\/$/m;

const env = new TestEnvironment();
after(() => env.stop());
const FREE_PORT = "127.0.0.1:0";
const ports = ["--listen", FREE_PORT, "--ops-listen", FREE_PORT, "--gateway-listen", FREE_PORT];
const args = ["dev", ...ports, "--data-dir", env.path("data"), "--log-format", "json"];
const dev = new Process(program("sentinel"), args, env.path("dev.log"));
env.onStop(() => dev.kill());

test("the printed URL serves calls, and a demo job succeeds", async () => {
  const [, url] = await dev.line(GATEWAY_URL);
  const jobs = webClient(JobService, url);
  const { job } = await jobs.enqueue({ spec: demo("echo", { hello: "Ada" }) });
  const selector = { case: "jobs", value: { ids: [job.id] } };
  const succeeded = async () => {
    for await (const { event } of jobs.watch({ selector })) {
      const [seen] = event.case === "snapshot" ? event.value.jobs : [event.value.job];
      if (seen?.state === State.SUCCEEDED) return true;
    }
  };
  assert.ok(await within("the job succeeds", succeeded()));
});

test("it shuts down on a signal while a stream is open", async () => {
  const [, url] = await dev.line(GATEWAY_URL);
  const jobs = webClient(JobService, url);
  const watching = (async () => {
    const events = jobs.watch({ selector: { case: "filter", value: {} } });
    for await (const { event } of events) {
      // Only once, because a second signal would skip the graceful shutdown.
      if (event.case === "snapshot") dev.child.kill("SIGTERM");
    }
  })();
  await assert.rejects(within("the stream closes", watching));
  assert.equal(await within("dev exits", dev.exited), 0);
});
