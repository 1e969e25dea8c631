// Server-sent events: what a page sees of its jobs, and that nothing is missed when the server
// or the gateway goes away in between.
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { openPage, startBrowser } from "../harness/browser.js";
import { call, events, lines } from "../harness/rest.js";
import { until, within } from "../harness/wait.js";
import { World } from "../harness/world.js";

const world = await World.start();
after(() => world.stop());

const LATER = { queue: "default", kind: "demo.noop", delay: "3600s" };

const enqueue = async (spec = LATER) => {
  const { json, text } = await call(world.url, "POST", "/v1/jobs", { spec });
  assert.ok(json.job, text);
  return json.job.id;
};
const act = async (id, verb) => {
  const { status, text } = await call(world.url, "POST", `/v1/jobs/${id}:${verb}`, {});
  assert.equal(status, 200, text);
};

/** Reads events into a list, and goes on behind the last one as EventSource does. */
function follow(path) {
  const reader = { seen: [], last: undefined, connections: 0, isOver: false };
  const seeEach = async () => {
    for await (const event of events(world.url, path, reader.last)) {
      if (event.id) reader.last = event.id;
      reader.seen.push(event);
      if (event.event === "end") reader.isOver = true;
    }
  };
  reader.done = until("the stream comes to its end", async () => {
    reader.connections += 1;
    await seeEach();
    return reader.isOver;
  });
  reader.done.catch(() => {});
  reader.sees = (state) =>
    until(`the reader sees ${state}`, () =>
      reader.seen.some(({ data }) => data.change?.job.state === state),
    );
  reader.opens = () => until("the stream opens", () => reader.seen.length > 0);
  return reader;
}

/** Versions of the changes that a reader saw; those a resume repeats are the same change. */
function versions({ seen }) {
  return [
    ...new Set(
      seen.filter(({ data }) => data.change).map(({ data }) => Number(data.change.job.version)),
    ),
  ];
}

test("a watch of one job is its snapshot, its changes and an end", async () => {
  const id = await enqueue();
  const reader = follow(`/v1/jobs/${id}:watch`);
  await reader.opens();
  await act(id, "cancel");
  await within("it ends", reader.done);
  assert.deepEqual(
    reader.seen.map(({ event }) => event),
    ["snapshot", "change", "end"],
  );
  assert.equal(reader.seen[1].data.change.job.state, "JOB_STATE_CANCELLED");
  assert.equal(reader.seen[1].id, reader.seen[1].data.cursor);
  assert.equal(reader.seen[2].id, "end");
});

test("one that comes back after the end is told that there is no more", async () => {
  const id = await enqueue();
  const path = `/v1/jobs/${id}:watch`;
  const headers = { accept: "text/event-stream", "last-event-id": "end" };
  assert.equal((await call(world.url, "GET", path, undefined, headers)).status, 204);
  assert.equal((await call(world.url, "GET", `${path}?lastEventId=end`)).status, 204);
});

for (const lost of ["gateway", "server"]) {
  test(`nothing is missed or doubled when the ${lost} is killed in the middle`, async () => {
    const id = await enqueue();
    const reader = follow(`/v1/jobs/${id}:watch`);
    await reader.opens();
    // A job that is cancelled and retried is not final for a watch that is closed in between, so
    // another one keeps the watch open.
    const other = await enqueue();
    const both = follow(`/v1/jobs:watch?jobs.ids=${id}&jobs.ids=${other}`);
    await both.opens();
    await act(id, "cancel");
    await both.sees("JOB_STATE_CANCELLED");
    await world[lost].kill();
    await (lost === "server" ? world.startServer() : world.startGateway());
    await until(
      "calls work",
      async () => (await call(world.url, "GET", `/v1/jobs/${id}`)).status === 200,
    );
    await act(id, "retry");
    await act(id, "cancel");
    await act(other, "cancel");
    await within("it ends", both.done);
    assert.ok(both.connections > 1);
    const changes = both.seen.filter(({ data }) => data.change).map(({ data }) => data.change.job);
    const seen = changes.map((job) => `${job.id} ${job.version}`);
    assert.deepEqual(seen, [...new Set(seen)], "a change came twice");
    const of = (one) => changes.filter((job) => job.id === one).map((job) => Number(job.version));
    const last = Math.max(...of(id));
    assert.deepEqual(
      of(id),
      Array.from({ length: last - 1 }, (_, at) => at + 2),
      "a change is missing",
    );
    assert.equal(of(other).length, 1);
    assert.ok(!both.seen.some(({ event }) => event === "gap"));
    await within("the first one ends", reader.done);
    assert.ok(versions(reader).length >= 1);
  });
}

test("while the server is away EventSource gets an error that it comes back after", async () => {
  const id = await enqueue();
  await world.server.kill();
  const seen = [];
  for await (const event of events(world.url, `/v1/jobs/${id}:watch`)) seen.push(event);
  assert.deepEqual(
    seen.map(({ event }) => event),
    ["error"],
  );
  assert.equal(seen[0].data.error.reason, "SERVER_UNREACHABLE");
  const plain = await call(world.url, "GET", `/v1/jobs/${id}:watch`);
  assert.deepEqual([plain.status, plain.json.error.code], [503, "UNAVAILABLE"]);
  assert.ok(Number(plain.headers.get("retry-after")) >= 1);
  await world.startServer();
});

test("a line comes when it happens, and the last one says why there are no more", async () => {
  const id = await enqueue();
  const seen = [];
  const reading = (async () => {
    for await (const line of lines(world.url, `/v1/jobs/${id}:watch`)) seen.push(line);
  })();
  reading.catch(() => {});
  await until("the snapshot is there while the stream is open", () => seen[0]?.snapshot);
  await world.server.stop();
  await within("it ends", reading);
  assert.equal(seen.at(-1).error.code, "UNAVAILABLE", JSON.stringify(seen.at(-1)));
  await world.startServer();
});

test("a page in a browser follows a job through a restart of the server, and stops at its end", async () => {
  const browser = await startBrowser();
  try {
    const page = await openPage(browser, `${world.url}/docs`);
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
    const sees = (kind) =>
      until(`the page sees ${kind}`, () =>
        page.evaluate((kind) => window.seen.some(([one]) => one === kind), kind),
      );
    await sees("snapshot");
    await world.server.kill();
    await until("the page is on its way back", () =>
      page.evaluate(() => window.source.readyState === 0),
    );
    await world.startServer();
    await until(
      "calls work",
      async () => (await call(world.url, "GET", `/v1/jobs/${id}`)).status === 200,
    );
    await act(id, "cancel");
    await sees("change");
    await sees("end");
    // Not closed by the page: the answer to its next attempt closes it.
    await until("it does not come again", () =>
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
