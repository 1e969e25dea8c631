// A server or a gateway that goes away and comes back.
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { Code } from "@connectrpc/connect";
import { demo, JobService, reasonOf, State, webClient } from "../harness/contract.js";
import { until, within } from "../harness/wait.js";
import { World } from "../harness/world.js";

const world = await World.start();
after(() => world.stop());
const jobs = webClient(JobService, world.url);

/** The changes of one job after a cursor, up to a state. */
async function changesTo(id, cursor, state) {
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

test("a lost server is UNAVAILABLE with a message for people, then calls work again", async () => {
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
  await world.server.kill();
  await assert.rejects(within("the stream ends with its server", stream), (error) => {
    assert.equal(error.code, Code.Unavailable, String(error));
    return true;
  });
  await assert.rejects(jobs.counts({}), (error) => {
    assert.equal(error.code, Code.Unavailable);
    assert.equal(reasonOf(error), "SERVER_UNREACHABLE");
    assert.match(error.message, /can not reach the server/);
    return true;
  });
  await world.startServer();
  await until("calls work again", () => jobs.get({ id: job.id }));
  await jobs.cancel({ id: job.id });
  const seen = await within("the change is seen", changesTo(job.id, cursor, State.CANCELLED));
  assert.equal(seen.at(-1), State.CANCELLED);
});

test("a gateway that is started again has forgotten nothing, for it knows nothing", async () => {
  const { job } = await jobs.enqueue({ spec: demo("noop", {}, { delay: { seconds: 3600n } }) });
  let cursor = "";
  for await (const event of jobs.watch({ selector: { case: "jobs", value: { ids: [job.id] } } })) {
    cursor = event.cursor;
    break;
  }
  await world.gateway.stop();
  await assert.rejects(jobs.counts({}));
  await world.startGateway();
  await jobs.cancel({ id: job.id });
  const seen = await within("the change is seen", changesTo(job.id, cursor, State.CANCELLED));
  assert.equal(seen.at(-1), State.CANCELLED);
});

test("the side door says whether the server is there", async () => {
  const ready = async () => (await fetch(`http://${world.gatewayOps}/readyz`)).status;
  assert.equal(await ready(), 200);
  await world.server.stop();
  await until("it is not ready", async () => (await ready()) === 503);
  assert.equal((await fetch(`http://${world.gatewayOps}/healthz`)).status, 200);
  await world.startServer();
  await until("it is ready", async () => (await ready()) === 200);
});

function deferred() {
  let resolve, reject;
  const promise = new Promise((yes, no) => ([resolve, reject] = [yes, no]));
  return { promise, resolve, reject };
}
