// `sentinel dev`, the first command of a newcomer: server, worker and gateway in one process.
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { demo, JobService, State, webClient } from "../harness/contract.js";
import { Process, program } from "../harness/process.js";
import { within } from "../harness/wait.js";
import { World } from "../harness/world.js";

/** What stands in its greeting. */
const SHOWN = /is at (http:\/\/127\.0\.0\.1:\d+)\//;

const world = new World();
after(() => world.stop());
const ANY = "127.0.0.1:0";
const ports = ["--listen", ANY, "--ops-listen", ANY, "--gateway-listen", ANY];
const args = ["dev", ...ports, "--data-dir", world.path("data"), "--log-format", "json"];
const dev = new Process(program("sentinel"), args, world.path("dev.log"));
world.onEnd(() => dev.kill());

test("what it prints for a browser answers calls, and a demo job runs", async () => {
  const [, url] = await dev.line(SHOWN);
  const jobs = webClient(JobService, url);
  const { job } = await jobs.enqueue({ spec: demo("echo", { hello: "Ada" }) });
  const selector = { case: "jobs", value: { ids: [job.id] } };
  const ended = async () => {
    for await (const { event } of jobs.watch({ selector })) {
      const [seen] = event.case === "snapshot" ? event.value.jobs : [event.value.job];
      if (seen?.state === State.SUCCEEDED) return true;
    }
  };
  assert.ok(await within("the job ends", ended()));
});

test("it ends by a signal while a browser watches", async () => {
  const [, url] = await dev.line(SHOWN);
  const jobs = webClient(JobService, url);
  const watching = (async () => {
    const events = jobs.watch({ selector: { case: "filter", value: {} } });
    for await (const { event } of events) {
      // A second signal would end it at once.
      if (event.case === "snapshot") dev.child.kill("SIGTERM");
    }
  })();
  await assert.rejects(within("the stream ends", watching));
  assert.equal(await within("dev ends", dev.ended), 0);
});
