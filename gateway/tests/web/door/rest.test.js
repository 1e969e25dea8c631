// Every call of REST once, what it does with JSON that is not its own, and what it refuses.
import assert from "node:assert/strict";
import { request as httpRequest } from "node:http";
import { after, test } from "node:test";
import { call, inState, lines } from "../harness/rest.js";
import { until } from "../harness/wait.js";
import { World } from "../harness/world.js";

const world = await World.start({ gateway: [] });
await world.startWorker();
after(() => world.stop());

const rest = (method, path, body, headers) => call(world.url, method, path, body, headers);
const GONE = "01890000-0000-7000-8000-000000000000";
const LATER = { queue: "default", kind: "demo.noop", delay: "3600s" };

async function ok(method, path, body) {
  const answer = await rest(method, path, body);
  assert.equal(answer.status, 200, `${method} ${path}: ${answer.text}`);
  return answer.json;
}

const enqueue = async (spec) => (await ok("POST", "/v1/jobs", { spec })).job.id;

async function all(path, init) {
  const seen = [];
  for await (const line of lines(world.url, path, init)) seen.push(line);
  return seen;
}

const post = (body) => ({
  method: "POST",
  headers: { "content-type": "application/json" },
  body: JSON.stringify(body),
});

/** By the name of the operation: a new call of the contract fails here until it has a row. */
const CALLS = {
  async JobService_Enqueue() {
    const answer = await ok("POST", "/v1/jobs", { spec: LATER, requestId: "rest-1" });
    assert.equal(answer.job.state, "JOB_STATE_SCHEDULED");
    assert.equal(answer.deduplicated, false);
    const again = await ok("POST", "/v1/jobs", { spec: LATER, request_id: "rest-1" });
    assert.deepEqual([again.job.id, again.deduplicated], [answer.job.id, true]);
  },
  async JobService_EnqueueBatch() {
    const specs = [LATER, { ...LATER, priority: 10 }];
    const { results } = await ok("POST", "/v1/jobs:batchEnqueue", { specs });
    assert.equal(results[0].job.state, "JOB_STATE_SCHEDULED");
    assert.equal(results[1].error.reason, "INVALID_FIELD");
  },
  async JobService_Get() {
    const id = await enqueue(LATER);
    const { job } = await ok("GET", `/v1/jobs/${id}?view=JOB_VIEW_BASIC`);
    assert.deepEqual([job.id, job.version, job.attempt], [id, "1", 0]);
  },
  async JobService_BatchGet() {
    const id = await enqueue(LATER);
    const { results } = await ok("GET", `/v1/jobs:batchGet?ids=${id}&ids=${GONE}`);
    assert.deepEqual([results[0].job.id, results[1].missingId], [id, GONE]);
  },
  async JobService_BatchGet_2() {
    const { results } = await ok("POST", "/v1/jobs:batchGet", { ids: [GONE] });
    assert.equal(results[0].missingId, GONE);
  },
  async JobService_List() {
    const id = await enqueue({ ...LATER, labels: { "rest.of": "a b&c" } });
    const query =
      "filter.labels.rest.of=a+b%26c&filter.states=JOB_STATE_SCHEDULED&filter.states=3&pageSize=5";
    const { jobs } = await until("the ledger has it", async () => {
      const page = await ok("GET", `/v1/jobs?${query}&filter.createdAfter=2020-01-01T00:00:00Z`);
      return page.jobs.length > 0 && page;
    });
    assert.deepEqual(
      jobs.map((job) => job.id),
      [id],
    );
  },
  async JobService_List_2() {
    const id = await enqueue({ ...LATER, labels: { search: "1" } });
    await until("the ledger has it", async () => {
      const page = await ok("POST", "/v1/jobs:search", { filter: { labels: { search: "1" } } });
      return page.jobs.some((job) => job.id === id);
    });
  },
  async JobService_Counts() {
    await enqueue(LATER);
    await until("it is counted", async () => {
      const { queues } = await ok("GET", "/v1/counts?queues=default");
      return queues[0]?.states.some(
        ({ state, count }) => state === "JOB_STATE_SCHEDULED" && count !== "0",
      );
    });
  },
  async JobService_ListAttempts() {
    const id = await enqueue({ queue: "default", kind: "demo.noop" });
    await inState(world.url, id, "JOB_STATE_SUCCEEDED");
    const { attempts } = await ok("GET", `/v1/jobs/${id}/attempts`);
    assert.deepEqual(
      attempts.map(({ outcome }) => outcome),
      ["ATTEMPT_OUTCOME_SUCCEEDED"],
    );
  },
  async JobService_Watch() {
    const id = await enqueue({ queue: "default", kind: "demo.noop" });
    const seen = await all(`/v1/jobs:watch?jobs.ids=${id}`);
    const last = seen.at(-1);
    assert.equal((last.change?.job ?? last.snapshot?.jobs[0]).state, "JOB_STATE_SUCCEEDED");
  },
  async JobService_Watch_2() {
    const id = await enqueue(LATER);
    for await (const { snapshot } of lines(world.url, `/v1/jobs/${id}:watch`)) {
      assert.equal(snapshot.jobs[0].id, id);
      break;
    }
  },
  async JobService_Watch_3() {
    const id = await enqueue(LATER);
    for await (const { snapshot } of lines(
      world.url,
      "/v1/jobs:watch",
      post({ jobs: { ids: [id] } }),
    )) {
      assert.equal(snapshot.jobs[0].id, id);
      break;
    }
  },
  async JobService_Cancel() {
    const id = await enqueue(LATER);
    assert.equal((await ok("POST", `/v1/jobs/${id}:cancel`)).outcome, "CANCEL_OUTCOME_CANCELLED");
    const again = await ok("POST", `/v1/jobs/${id}:cancel`, { reason: "no more" });
    assert.equal(again.outcome, "CANCEL_OUTCOME_ALREADY_FINAL");
  },
  async JobService_Retry() {
    const id = await enqueue(LATER);
    await ok("POST", `/v1/jobs/${id}:cancel`, {});
    assert.equal((await ok("POST", `/v1/jobs/${id}:retry`, {})).job.run, 2);
  },
  async JobService_RunNow() {
    const id = await enqueue(LATER);
    await ok("POST", `/v1/jobs/${id}:runNow`, {});
    await inState(world.url, id, "JOB_STATE_SUCCEEDED");
  },
  async JobService_Update() {
    const id = await enqueue({ ...LATER, labels: { kept: "1" } });
    // Without a mask the fields of the JSON are changed, and no others.
    const { job } = await ok("PATCH", `/v1/jobs/${id}`, { spec: { priority: 7 } });
    assert.deepEqual([job.spec.priority, job.spec.labels.kept], [7, "1"]);
    const masked = await ok("PATCH", `/v1/jobs/${id}`, {
      spec: { priority: 3 },
      updateMask: "labels",
    });
    assert.deepEqual([masked.job.spec.priority, masked.job.spec.labels], [7, {}]);
  },
  async JobService_Delete() {
    const id = await enqueue(LATER);
    assert.deepEqual(await ok("DELETE", `/v1/jobs/${id}?actor=tidy`), {});
    assert.equal((await rest("GET", `/v1/jobs/${id}`)).status, 404);
  },
  async JobService_Bulk() {
    const counted = { action: "BULK_ACTION_CANCEL", filter: { kinds: ["no.such"] }, dryRun: true };
    assert.equal((await ok("POST", "/v1/jobs:bulk", counted)).matched, "0");
  },
  async JobService_ReadLogs() {
    const id = await enqueue({ queue: "default", kind: "demo.noop" });
    await inState(world.url, id, "JOB_STATE_SUCCEEDED");
    for (const line of await all(`/v1/jobs/${id}/logs?follow=true`))
      assert.ok(Array.isArray(line.lines));
  },
  async JobService_ReadOutput() {
    const id = await enqueue({ queue: "default", kind: "demo.noop" });
    await inState(world.url, id, "JOB_STATE_SUCCEEDED");
    for (const line of await all(`/v1/jobs/${id}/output`)) assert.equal(typeof line.data, "string");
  },
  async KindService_ListKinds() {
    await until("the kinds are listed", async () => {
      const { kinds } = await ok("GET", "/v1/kinds?pageSize=1000");
      return kinds.some(({ name }) => name === "demo.noop");
    });
  },
  async KindService_GetKind() {
    await until(
      "the kind is there",
      async () => (await rest("GET", "/v1/kinds/demo.noop")).status === 200,
    );
    assert.equal((await ok("GET", "/v1/kinds/demo.noop")).kind.name, "demo.noop");
  },
  async QueueService_CreateQueue() {
    const { queue } = await ok("POST", "/v1/queues?actor=me", { name: "made", description: "d" });
    assert.deepEqual([queue.name, queue.mode], ["made", "QUEUE_MODE_OPEN"]);
  },
  async QueueService_GetQueue() {
    await ok("POST", "/v1/queues", { name: "got" });
    assert.equal((await ok("GET", "/v1/queues/got")).queue.name, "got");
  },
  async QueueService_ListQueues() {
    await ok("POST", "/v1/queues", { name: "listed" });
    const { queues } = await ok("GET", "/v1/queues");
    assert.ok(queues.some(({ name }) => name === "listed"));
  },
  async QueueService_UpdateQueue() {
    await ok("POST", "/v1/queues", { name: "changed", description: "before", indexPaths: ["a.b"] });
    const { queue } = await ok("PATCH", "/v1/queues/changed", {
      description: "after",
      name: "changed",
    });
    assert.deepEqual([queue.description, queue.indexPaths], ["after", ["a.b"]]);
    const path = "/v1/queues/changed?updateMask=description,index_paths";
    const masked = await ok("PATCH", path, { description: "last" });
    assert.deepEqual([masked.queue.description, masked.queue.indexPaths], ["last", []]);
    const nothing = await rest("PATCH", "/v1/queues/changed", {});
    assert.equal(nothing.status, 400, nothing.text);
    const other = await rest("PATCH", "/v1/queues/changed", { name: "another", description: "x" });
    assert.match(other.json.error.message, /queue.name: is in the path/);
  },
  async QueueService_PauseQueue() {
    await ok("POST", "/v1/queues", { name: "paused" });
    assert.equal((await ok("POST", "/v1/queues/paused:pause")).queue.mode, "QUEUE_MODE_PAUSED");
  },
  async QueueService_DrainQueue() {
    await ok("POST", "/v1/queues", { name: "drained" });
    assert.equal(
      (await ok("POST", "/v1/queues/drained:drain", {})).queue.mode,
      "QUEUE_MODE_DRAINING",
    );
  },
  async QueueService_ResumeQueue() {
    await ok("POST", "/v1/queues", { name: "resumed" });
    assert.equal((await ok("POST", "/v1/queues/resumed:resume", {})).queue.mode, "QUEUE_MODE_OPEN");
  },
  async KeyService_CreateKey() {
    const made = await rest(
      "POST",
      "/v1/keys",
      { name: "rest", role: "ROLE_VIEWER" },
      await admin(),
    );
    assert.match(made.json.credential, /^snt_/);
  },
  async KeyService_ListKeys() {
    const { json } = await rest("GET", "/v1/keys?pageSize=10", undefined, await admin());
    assert.ok(json.keys.length > 0);
  },
  async KeyService_RevokeKey() {
    const made = await rest("POST", "/v1/keys", { name: "rest", role: 1 }, await admin());
    const { json } = await rest("POST", `/v1/keys/${made.json.key.id}:revoke`, {}, await admin());
    assert.ok(json.key.revokedAt);
  },
  async AuditService_ListAuditEntries() {
    const id = await enqueue(LATER);
    await rest("POST", `/v1/jobs/${id}:cancel`, { requestId: "audited" }, await admin());
    await until("the entry is there", async () => {
      const { json } = await rest(
        "GET",
        "/v1/auditEntries?pageSize=1000",
        undefined,
        await admin(),
      );
      return json.entries?.some(
        ({ target, requestId }) => target === id && requestId === "audited",
      );
    });
  },
  async WorkerRegistryService_ListWorkers() {
    const { workers } = await ok("GET", "/v1/workers");
    assert.equal(workers[0].instance, "web");
  },
  async WorkerRegistryService_DrainWorker() {
    const { status, json } = await rest("POST", `/v1/workers/${GONE}:drain`, {});
    assert.deepEqual([status, json.error.code], [404, "NOT_FOUND"]);
  },
};

let key;
async function admin() {
  key ??= await world.key("rest-root", "admin");
  const headers = { authorization: `Bearer ${key.credential}` };
  await until("the server knows the key", async () => {
    return (await rest("GET", "/v1/keys", undefined, headers)).status === 200;
  });
  return headers;
}

const document = (await rest("GET", "/openapi.json")).json;
const operations = Object.values(document.paths).flatMap(Object.values);

// First of all: nothing was enqueued yet.
test("an installation without a job has none that a bulk action could change", async () => {
  const all = { action: "BULK_ACTION_CANCEL", filter: { queues: ["default"] } };
  const done = await ok("POST", "/v1/jobs:bulk", all);
  assert.deepEqual([done.counts, done.nextPageToken], [[], ""]);
});

test("the rows are of all calls, and of no others", () => {
  const names = operations.map(({ operationId }) => operationId);
  assert.deepEqual(Object.keys(CALLS).sort(), names.sort());
});

for (const [name, run] of Object.entries(CALLS)) test(name, run);

test("a payload is kept byte for byte, and shown as what it is", async () => {
  const exact =
    '{"z": 12345678901234567890, "a":1.10,\n "e":1E400,"dup":1,"dup":2, "s":"\\u00e9\\/"}';
  const id = await enqueueText(
    `{"spec":{"queue":"default","kind":"demo.noop","delay":"60s","payload":${exact}}}`,
  );
  const shown = (await rest("GET", `/v1/jobs/${id}`)).text;
  assert.ok(shown.includes(`"payload":${exact.replace("\n", " ")}`), shown);
  for (const payload of ["[1]", "1.10", "true", "null", "{}"]) {
    const one = await enqueueText(
      `{"spec":{"queue":"default","kind":"demo.noop","delay":"60s","payload":${payload}}}`,
    );
    assert.ok(
      (await rest("GET", `/v1/jobs/${one}`)).text.includes(`"payload":${payload},`),
      payload,
    );
  }
});

test("bytes that are no JSON, or a JSON string, go in and out as base64", async () => {
  for (const bytes of ['"text"', "no json", "\u0000\u0001"]) {
    const payload = Buffer.from(bytes).toString("base64");
    const id = await enqueue({ ...LATER, payload });
    assert.equal((await ok("GET", `/v1/jobs/${id}`)).job.spec.payload, payload);
  }
  const payload = Buffer.from("{}").toString("base64");
  const id = await enqueue({ ...LATER, payload, contentType: "application/octet-stream" });
  assert.equal((await ok("GET", `/v1/jobs/${id}`)).job.spec.payload, payload);
});

async function enqueueText(body) {
  return (await ok("POST", "/v1/jobs", body)).job.id;
}

test("an error says which field, which reason, and as which status", async () => {
  const wrong = await rest("POST", "/v1/jobs", { spec: { ...LATER, priority: 10 } });
  assert.equal(wrong.status, 400);
  assert.equal(wrong.json.error.code, "INVALID_ARGUMENT");
  assert.equal(wrong.json.error.reason, "INVALID_FIELD");
  assert.equal(wrong.json.error.fieldViolations[0].field, "spec.priority");
  const gone = await rest("GET", `/v1/jobs/${GONE}`);
  assert.deepEqual([gone.status, gone.json.error.reason], [404, "JOB_NOT_FOUND"]);
  const exists = { ...LATER, unique: { key: "k", mode: "UNIQUE_MODE_REJECT" } };
  await enqueue(exists);
  const held = await rest("POST", "/v1/jobs", { spec: exists });
  assert.deepEqual([held.status, held.json.error.reason], [409, "UNIQUE_KEY_HELD"]);
  const anonymous = await rest("GET", "/v1/keys");
  assert.equal(anonymous.status, 401);
  assert.equal(anonymous.headers.get("www-authenticate"), "Bearer");
});

/** What is wrong, how it is sent, and what is said of it. */
const REFUSED = [
  ["an unknown path", "GET", "/v1/nothing", undefined, 404, /\/v1\/nothing/],
  ["an unknown verb", "POST", `/v1/jobs/${GONE}:explode`, {}, 404, /explode/],
  ["a slash too many", "GET", "/v1/jobs/", undefined, 404, /\/v1\/jobs\//],
  ["a method that is not there", "PUT", "/v1/jobs", {}, 405, /GET, POST/],
  ["no JSON", "POST", "/v1/jobs", "{", 400, /line 1 column 1/],
  ["JSON and more", "POST", "/v1/jobs", "{} {}", 400, /trailing/],
  ["a list", "POST", "/v1/jobs", "[]", 400, /expected an object/],
  [
    "an unknown field",
    "POST",
    "/v1/jobs",
    { spec: { prio: 1 } },
    400,
    /spec.prio: is not known; known are queue/,
  ],
  [
    "a field twice",
    "POST",
    "/v1/jobs",
    '{"spec":{"queue":"a","queue":"b"}}',
    400,
    /spec.queue: is given twice/,
  ],
  ["a wrong type", "POST", "/v1/jobs", { spec: { queue: 1 } }, 400, /spec.queue: expected text/],
  [
    "a fraction",
    "POST",
    "/v1/jobs",
    { spec: { priority: 1.5 } },
    400,
    /spec.priority: expected an integer/,
  ],
  [
    "a number below its range",
    "POST",
    "/v1/jobs",
    { spec: { priority: -1 } },
    400,
    /0..4294967295/,
  ],
  ["an unknown name", "POST", "/v1/jobs", { spec: { ack: "SOON" } }, 400, /ACK_LEVEL_STORE/],
  ["a duration of no form", "POST", "/v1/jobs", { spec: { delay: "1h" } }, 400, /1.5s/],
  ["a time of no form", "POST", "/v1/jobs", { spec: { runAt: "tomorrow" } }, 400, /2026-/],
  [
    "no base64",
    "POST",
    "/v1/jobs",
    { spec: { payload: "%" } },
    400,
    /spec.payload: expected base64/,
  ],
  [
    "an item of a wrong type",
    "POST",
    "/v1/jobs",
    { spec: { dependsOn: ["a", 1] } },
    400,
    /dependsOn\[1\]/,
  ],
  [
    "two of a oneof",
    "POST",
    "/v1/jobs:watch",
    { jobs: {}, filter: {} },
    400,
    /filter: excludes jobs/,
  ],
  [
    "two of a oneof in a query",
    "GET",
    "/v1/jobs:watch?jobs.ids=a&filter.queues=b",
    undefined,
    400,
    /excludes/,
  ],
  [
    "an unknown parameter",
    "GET",
    "/v1/counts?queue=a",
    undefined,
    400,
    /queue: is not known; known are queues/,
  ],
  ["a parameter twice", "GET", "/v1/jobs?pageSize=1&page_size=2", undefined, 400, /twice/],
  ["a parameter of a body", "POST", "/v1/jobs?actor=me", {}, 400, /belongs in the body/],
  [
    "a parameter of a wrong type",
    "GET",
    "/v1/jobs?pageSize=many",
    undefined,
    400,
    /pageSize: expected an integer/,
  ],
  ["a path that is not UTF-8", "GET", "/v1/jobs/%ff", undefined, 400, /id: is not percent-encoded/],
  [
    "a query that is not UTF-8",
    "GET",
    "/v1/counts?queues=%ff",
    undefined,
    400,
    /queues: is not percent-encoded/,
  ],
  ["a body where there is none", "DELETE", `/v1/jobs/${GONE}`, {}, 400, /has no body/],
  ["no queue to make", "POST", "/v1/queues", undefined, 400, /the body is empty/],
];

for (const [what, method, path, body, status, message] of REFUSED) {
  test(`${what} is refused with ${status}`, async () => {
    const answer = await rest(method, path, body);
    assert.equal(answer.status, status, answer.text);
    assert.match(answer.json.error.message, message);
    assert.ok(answer.json.error.reason);
    if (status === 405) assert.equal(answer.headers.get("allow"), "GET, POST");
  });
}

test("a body of another type is refused with 415", async () => {
  for (const type of [
    "application/x-www-form-urlencoded",
    "text/plain",
    "application/json; charset=latin1",
  ]) {
    const answer = await rest("POST", "/v1/jobs", "{}", { "content-type": type });
    assert.deepEqual(
      [answer.status, answer.json.error.reason],
      [415, "UNSUPPORTED_MEDIA_TYPE"],
      type,
    );
  }
  const packed = await rest("POST", "/v1/jobs", "{}", { "content-encoding": "gzip" });
  assert.equal(packed.status, 415);
});

test("what is too much is refused, and costs the gateway nothing", async () => {
  const deep = `{"spec":{"labels":${'{"a":'.repeat(200_000)}`;
  assert.equal((await rest("POST", "/v1/jobs", deep)).status, 400);
  const closed = `{"spec":{"labels":{"a":${"[".repeat(200_000)}${"]".repeat(200_000)}}}}`;
  assert.equal((await rest("POST", "/v1/jobs", closed)).status, 400);
  // Answered before anything is read, which a client that still writes may not hear.
  const known = await flood({ "content-length": 21 << 20 });
  assert.ok(known === undefined || known === "413 BODY_TOO_LARGE", known);
  assert.equal(await flood({ "transfer-encoding": "chunked" }), "413 BODY_TOO_LARGE");
  const query = await rest("GET", `/v1/counts?queues=${"a".repeat(1 << 20)}`).catch(
    (error) => error,
  );
  if (!(query instanceof Error))
    assert.ok(query.status >= 400 && query.status < 500, String(query.status));
  const many = await rest("GET", `/v1/counts?${"queues=a&".repeat(6_000)}`);
  assert.equal(many.status, 400, many.text);
  assert.equal((await ok("GET", "/v1/counts?queues=none")).queues.length, 0);
});

/** The answer to a body that is too large, if one is heard: the gateway may close before it has
 * read all of it, so what can not be written any more is no error here. */
function flood(length) {
  return new Promise((resolve) => {
    const headers = { "content-type": "application/json", ...length };
    const sent = httpRequest(
      `${world.url}/v1/jobs`,
      { method: "POST", headers, agent: false },
      (answer) => {
        let text = "";
        answer.on("error", () => undefined).on("data", (data) => (text += data));
        answer.on("end", () => resolve(`${answer.statusCode} ${JSON.parse(text).error.reason}`));
      },
    );
    sent.on("socket", (socket) => socket.on("error", () => undefined));
    sent.on("error", () => undefined).on("close", () => resolve(undefined));
    sent.end(Buffer.alloc(21 << 20, " "));
  });
}

test("HEAD is answered as GET, without the body", async () => {
  const head = await rest("HEAD", "/v1/queues");
  assert.deepEqual([head.status, head.text], [200, ""]);
});
