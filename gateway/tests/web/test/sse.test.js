// Tests of server-sent events and JSON lines: events, resume after restarts of the server and the
// gateway, and the end of a stream.
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { openPage, startBrowser } from "../harness/browser.js";
import { TestEnvironment } from "../harness/environment.js";
import { call, events, lines } from "../harness/rest.js";
import { until, within } from "../harness/wait.js";

const env = await TestEnvironment.start();
after(() => env.stop());

const DELAYED = { queue: "default", kind: "demo.noop", delay: "3600s" };

const enqueue = async (spec = DELAYED) => {
  const { json, text } = await call(env.url, "POST", "/v1/jobs", { spec });
  assert.ok(json.job, text);
  return json.job.id;
};
const act = async (id, verb) => {
  const { status, text } = await call(env.url, "POST", `/v1/jobs/${id}:${verb}`, {});
  assert.equal(status, 200, text);
};

/** Collects events, and reconnects with the last event id as EventSource does. */
function follow(path) {
  const reader = { events: [], lastId: undefined, connections: 0, isFinished: false };
  const readStream = async () => {
    for await (const event of events(env.url, path, reader.lastId)) {
      if (event.id) reader.lastId = event.id;
      reader.events.push(event);
      if (event.event === "end") reader.isFinished = true;
    }
  };
  reader.done = until("the end event arrives", async () => {
    reader.connections += 1;
    await readStream();
    return reader.isFinished;
  });
  reader.done.catch(() => {});
  reader.receives = (state) =>
    until(`the reader receives ${state}`, () =>
      reader.events.some(({ data }) => data.change?.job.state === state),
    );
  reader.isOpen = () => until("the stream opens", () => reader.events.length > 0);
  return reader;
}

/** Returns the versions of the changes without duplicates, which a resume may repeat. */
function versions({ events }) {
  return [
    ...new Set(
      events.filter(({ data }) => data.change).map(({ data }) => Number(data.change.job.version)),
    ),
  ];
}

test("a watch of one job is a snapshot, its changes and an end event", async () => {
  const id = await enqueue();
  const reader = follow(`/v1/jobs/${id}:watch`);
  await reader.isOpen();
  await act(id, "cancel");
  await within("the stream ends", reader.done);
  assert.deepEqual(
    reader.events.map(({ event }) => event),
    ["snapshot", "change", "end"],
  );
  assert.equal(reader.events[1].data.change.job.state, "JOB_STATE_CANCELLED");
  assert.equal(reader.events[1].id, reader.events[1].data.cursor);
  assert.equal(reader.events[2].id, "end");
});

test("a reconnect after the end event gets status 204", async () => {
  const id = await enqueue();
  const path = `/v1/jobs/${id}:watch`;
  const headers = { accept: "text/event-stream", "last-event-id": "end" };
  assert.equal((await call(env.url, "GET", path, undefined, headers)).status, 204);
  assert.equal((await call(env.url, "GET", `${path}?lastEventId=end`)).status, 204);
});

for (const killed of ["gateway", "server"]) {
  test(`no change is missing or repeated after the ${killed} is killed`, async () => {
    const id = await enqueue();
    const reader = follow(`/v1/jobs/${id}:watch`);
    await reader.isOpen();
    // The watch would end when the job is cancelled, before it is retried. A second job keeps it
    // open.
    const other = await enqueue();
    const both = follow(`/v1/jobs:watch?jobs.ids=${id}&jobs.ids=${other}`);
    await both.isOpen();
    await act(id, "cancel");
    await both.receives("JOB_STATE_CANCELLED");
    await env[killed].kill();
    await (killed === "server" ? env.startServer() : env.startGateway());
    await until(
      "calls succeed",
      async () => (await call(env.url, "GET", `/v1/jobs/${id}`)).status === 200,
    );
    await act(id, "retry");
    await act(id, "cancel");
    await act(other, "cancel");
    await within("the stream ends", both.done);
    assert.ok(both.connections > 1);
    const changes = both.events
      .filter(({ data }) => data.change)
      .map(({ data }) => data.change.job);
    const seen = changes.map((job) => `${job.id} ${job.version}`);
    assert.deepEqual(seen, [...new Set(seen)], "a change arrived twice");
    const of = (one) => changes.filter((job) => job.id === one).map((job) => Number(job.version));
    const last = Math.max(...of(id));
    assert.deepEqual(
      of(id),
      Array.from({ length: last - 1 }, (_, at) => at + 2),
      "a change is missing",
    );
    assert.equal(of(other).length, 1);
    assert.ok(!both.events.some(({ event }) => event === "gap"));
    await within("the first stream ends", reader.done);
    assert.ok(versions(reader).length >= 1);
  });
}

test("while the server is down an EventSource gets an error event and can reconnect", async () => {
  const id = await enqueue();
  await env.server.kill();
  const seen = [];
  for await (const event of events(env.url, `/v1/jobs/${id}:watch`)) seen.push(event);
  assert.deepEqual(
    seen.map(({ event }) => event),
    ["error"],
  );
  assert.equal(seen[0].data.error.reason, "SERVER_UNREACHABLE");
  const plain = await call(env.url, "GET", `/v1/jobs/${id}:watch`);
  assert.deepEqual([plain.status, plain.json.error.code], [503, "UNAVAILABLE"]);
  assert.ok(Number(plain.headers.get("retry-after")) >= 1);
  await env.startServer();
});

test("JSON lines arrive while the stream is open, and the last line is the error that ended it", async () => {
  const id = await enqueue();
  const seen = [];
  const reading = (async () => {
    for await (const line of lines(env.url, `/v1/jobs/${id}:watch`)) seen.push(line);
  })();
  reading.catch(() => {});
  await until("the snapshot arrives while the stream is open", () => seen[0]?.snapshot);
  await env.server.stop();
  await within("the stream ends", reading);
  assert.equal(seen.at(-1).error.code, "UNAVAILABLE", JSON.stringify(seen.at(-1)));
  await env.startServer();
});

test("an EventSource in a browser follows a job across a restart of the server, and stops at the end", async () => {
  const browser = await startBrowser();
  try {
    const page = await openPage(browser, `${env.url}/docs`);
    assert.match(await page.textContent("h1"), /Sentinel/);
    assert.equal(
      await page.evaluate(() => getComputedStyle(document.querySelector("table")).borderCollapse),
      "collapse",
    );
    assert.deepEqual(page.problems, []);
    const id = await enqueue();
    await page.evaluate((path) => {
      window.seen = [];
      window.source = new EventSource(path);
      for (const kind of ["snapshot", "change", "end"])
        window.source.addEventListener(kind, ({ data }) =>
          window.seen.push([kind, JSON.parse(data)]),
        );
    }, `/v1/jobs/${id}:watch`);
    const receives = (kind) =>
      until(`the page receives ${kind}`, () =>
        page.evaluate((kind) => window.seen.some(([one]) => one === kind), kind),
      );
    await receives("snapshot");
    await env.server.kill();
    await until("the EventSource reconnects", () =>
      page.evaluate(() => window.source.readyState === 0),
    );
    await env.startServer();
    await until(
      "calls succeed",
      async () => (await call(env.url, "GET", `/v1/jobs/${id}`)).status === 200,
    );
    await act(id, "cancel");
    await receives("change");
    await receives("end");
    // The page does not close the EventSource. The status 204 of the next request does.
    await until("the EventSource is closed", () =>
      page.evaluate(() => window.source.readyState === 2),
    );
    const changes = await page.evaluate(
      () => window.seen.filter(([kind]) => kind === "change").length,
    );
    assert.equal(changes, 1);
  } finally {
    await browser.close();
  }
});
