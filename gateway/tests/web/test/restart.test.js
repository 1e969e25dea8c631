// Tests of restarts of the server and of the gateway.
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { Code } from "@connectrpc/connect";
import { demo, JobService, reasonOf, State, webClient } from "../harness/api.js";
import { TestEnvironment } from "../harness/environment.js";
import { until, within } from "../harness/wait.js";

const env = await TestEnvironment.start();
after(() => env.stop());
const jobs = webClient(JobService, env.url);

/** Returns the states of a job after a cursor, up to a state. */
async function statesUpTo(id, cursor, state) {
  const seen = [];
  for await (const { event } of jobs.watch({
    selector: { case: "jobs", value: { ids: [id] } },
    cursor,
  })) {
    if (event.case !== "change") continue;
    seen.push(event.value.job.state);
    if (event.value.job.state === state) return seen;
  }
  return seen;
}

test("calls fail with UNAVAILABLE while the server is down, and succeed after its restart", async () => {
  const { job } = await jobs.enqueue({ spec: demo("noop", {}, { delay: { seconds: 3600n } }) });
  let cursor = "";
  const opened = deferred();
  const stream = (async () => {
    for await (const event of jobs.watch({ selector: { case: "filter", value: {} } })) {
      cursor = event.cursor;
      opened.resolve();
    }
  })();
  stream.catch(opened.reject);
  await within("the stream opens", opened.promise);
  await env.server.kill();
  await assert.rejects(within("the stream closes with the server", stream), (error) => {
    assert.equal(error.code, Code.Unavailable, String(error));
    return true;
  });
  await assert.rejects(jobs.counts({}), (error) => {
    assert.equal(error.code, Code.Unavailable);
    assert.equal(reasonOf(error), "SERVER_UNREACHABLE");
    assert.match(error.message, /cannot reach the server/);
    return true;
  });
  await env.startServer();
  await until("calls succeed again", () => jobs.get({ id: job.id }));
  await jobs.cancel({ id: job.id });
  const seen = await within("the change arrives", statesUpTo(job.id, cursor, State.CANCELLED));
  assert.equal(seen.at(-1), State.CANCELLED);
});

test("a stream resumes after a restart of the gateway, which keeps no state", async () => {
  const { job } = await jobs.enqueue({ spec: demo("noop", {}, { delay: { seconds: 3600n } }) });
  let cursor = "";
  for await (const event of jobs.watch({ selector: { case: "jobs", value: { ids: [job.id] } } })) {
    cursor = event.cursor;
    break;
  }
  await env.gateway.stop();
  await assert.rejects(jobs.counts({}));
  await env.startGateway();
  await jobs.cancel({ id: job.id });
  const seen = await within("the change arrives", statesUpTo(job.id, cursor, State.CANCELLED));
  assert.equal(seen.at(-1), State.CANCELLED);
});

test("readyz reports whether the server is serving", async () => {
  const ready = async () => (await fetch(`http://${env.gatewayOps}/readyz`)).status;
  assert.equal(await ready(), 200);
  await env.server.stop();
  await until("the gateway is not ready", async () => (await ready()) === 503);
  assert.equal((await fetch(`http://${env.gatewayOps}/healthz`)).status, 200);
  await env.startServer();
  await until("the gateway is ready", async () => (await ready()) === 200);
});

function deferred() {
  const result = {};
  result.promise = new Promise((resolve, reject) => Object.assign(result, { resolve, reject }));
  return result;
}
