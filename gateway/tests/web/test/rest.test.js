// Tests of REST: every call once, JSON payloads, and invalid requests.
import assert from "node:assert/strict";
import { request as httpRequest } from "node:http";
import { after, test } from "node:test";
import { TestEnvironment } from "../harness/environment.js";
import { call, inState, lines } from "../harness/rest.js";
import { until } from "../harness/wait.js";

const env = await TestEnvironment.start({ gateway: [] });
await env.startWorker();
after(() => env.stop());

const rest = (method, path, body, headers) => call(env.url, method, path, body, headers);
const MISSING_ID = "01890000-0000-7000-8000-000000000000";
const DELAYED = { queue: "default", kind: "demo.noop", delay: "3600s" };

async function ok(method, path, body) {
  const response = await rest(method, path, body);
  assert.equal(response.status, 200, `${method} ${path}: ${response.text}`);
  return response.json;
}

const enqueue = async (spec) => (await ok("POST", "/v1/jobs", { spec })).job.id;

async function all(path, init) {
  const seen = [];
  for await (const line of lines(env.url, path, init)) seen.push(line);
  return seen;
}

const post = (body) => ({
  method: "POST",
  headers: { "content-type": "application/json" },
  body: JSON.stringify(body),
});

/** One test per operation. A new call of the API fails the test below until it has one here. */
const CALLS = {
  async JobService_Enqueue() {
    const response = await ok("POST", "/v1/jobs", { spec: DELAYED, requestId: "rest-1" });
    assert.equal(response.job.state, "JOB_STATE_SCHEDULED");
    assert.equal(response.deduplicated, false);
    const again = await ok("POST", "/v1/jobs", { spec: DELAYED, request_id: "rest-1" });
    assert.deepEqual([again.job.id, again.deduplicated], [response.job.id, true]);
  },
  async JobService_EnqueueBatch() {
    const specs = [DELAYED, { ...DELAYED, priority: 10 }];
    const { results } = await ok("POST", "/v1/jobs:batchEnqueue", { specs });
    assert.equal(results[0].job.state, "JOB_STATE_SCHEDULED");
    assert.equal(results[1].error.reason, "INVALID_FIELD");
  },
  async JobService_Get() {
    const id = await enqueue(DELAYED);
    const { job } = await ok("GET", `/v1/jobs/${id}?view=JOB_VIEW_BASIC`);
    assert.deepEqual([job.id, job.version, job.attempt], [id, "1", 0]);
  },
  async JobService_BatchGet() {
    const id = await enqueue(DELAYED);
    const { results } = await ok("GET", `/v1/jobs:batchGet?ids=${id}&ids=${MISSING_ID}`);
    assert.deepEqual([results[0].job.id, results[1].missingId], [id, MISSING_ID]);
  },
  async JobService_BatchGet_2() {
    const { results } = await ok("POST", "/v1/jobs:batchGet", { ids: [MISSING_ID] });
    assert.equal(results[0].missingId, MISSING_ID);
  },
  async JobService_List() {
    const id = await enqueue({ ...DELAYED, labels: { "rest.of": "a b&c" } });
    const query =
      "filter.labels.rest.of=a+b%26c&filter.states=JOB_STATE_SCHEDULED&filter.states=3&pageSize=5";
    const { jobs } = await until("the ledger has the job", async () => {
      const page = await ok("GET", `/v1/jobs?${query}&filter.createdAfter=2020-01-01T00:00:00Z`);
      return page.jobs.length > 0 && page;
    });
    assert.deepEqual(
      jobs.map((job) => job.id),
      [id],
    );
  },
  async JobService_List_2() {
    const id = await enqueue({ ...DELAYED, labels: { search: "1" } });
    await until("the ledger has the job", async () => {
      const page = await ok("POST", "/v1/jobs:search", { filter: { labels: { search: "1" } } });
      return page.jobs.some((job) => job.id === id);
    });
  },
  async JobService_Counts() {
    await enqueue(DELAYED);
    await until("the job is counted", async () => {
      const { queues } = await ok("GET", "/v1/counts?queues=default");
      return queues[0]?.states.some(
        ({ state, count }) => state === "JOB_STATE_SCHEDULED" && count !== "0",
      );
    });
  },
  async JobService_ListAttempts() {
    const id = await enqueue({ queue: "default", kind: "demo.noop" });
    await inState(env.url, id, "JOB_STATE_SUCCEEDED");
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
    assert.equal(
      (last.change ? last.change.job : last.snapshot.jobs[0]).state,
      "JOB_STATE_SUCCEEDED",
    );
  },
  async JobService_Watch_2() {
    const id = await enqueue(DELAYED);
    for await (const { snapshot } of lines(env.url, `/v1/jobs/${id}:watch`)) {
      assert.equal(snapshot.jobs[0].id, id);
      break;
    }
  },
  async JobService_Watch_3() {
    const id = await enqueue(DELAYED);
    for await (const { snapshot } of lines(
      env.url,
      "/v1/jobs:watch",
      post({ jobs: { ids: [id] } }),
    )) {
      assert.equal(snapshot.jobs[0].id, id);
      break;
    }
  },
  async JobService_Cancel() {
    const id = await enqueue(DELAYED);
    assert.equal((await ok("POST", `/v1/jobs/${id}:cancel`)).outcome, "CANCEL_OUTCOME_CANCELLED");
    const again = await ok("POST", `/v1/jobs/${id}:cancel`, { reason: "no more" });
    assert.equal(again.outcome, "CANCEL_OUTCOME_ALREADY_TERMINAL");
  },
  async JobService_Retry() {
    const id = await enqueue(DELAYED);
    await ok("POST", `/v1/jobs/${id}:cancel`, {});
    assert.equal((await ok("POST", `/v1/jobs/${id}:retry`, {})).job.run, 2);
  },
  async JobService_RunNow() {
    const id = await enqueue(DELAYED);
    await ok("POST", `/v1/jobs/${id}:runNow`, {});
    await inState(env.url, id, "JOB_STATE_SUCCEEDED");
  },
  async JobService_Update() {
    const id = await enqueue({ ...DELAYED, labels: { kept: "1" } });
    // Without a mask, only the fields in the JSON are changed.
    const { job } = await ok("PATCH", `/v1/jobs/${id}`, { spec: { priority: 7 } });
    assert.deepEqual([job.spec.priority, job.spec.labels.kept], [7, "1"]);
    const masked = await ok("PATCH", `/v1/jobs/${id}`, {
      spec: { priority: 3 },
      updateMask: "labels",
    });
    assert.deepEqual([masked.job.spec.priority, masked.job.spec.labels], [7, {}]);
  },
  async JobService_Delete() {
    const id = await enqueue(DELAYED);
    assert.deepEqual(await ok("DELETE", `/v1/jobs/${id}?actor=tidy`), {});
    assert.equal((await rest("GET", `/v1/jobs/${id}`)).status, 404);
  },
  async JobService_Bulk() {
    const counted = { action: "BULK_ACTION_CANCEL", filter: { kinds: ["no.such"] }, dryRun: true };
    assert.equal((await ok("POST", "/v1/jobs:bulk", counted)).matched, "0");
  },
  async JobService_ReadLogs() {
    const id = await enqueue({ queue: "default", kind: "demo.noop" });
    await inState(env.url, id, "JOB_STATE_SUCCEEDED");
    for (const line of await all(`/v1/jobs/${id}/logs?follow=true`))
      assert.ok(Array.isArray(line.lines));
  },
  async JobService_ReadOutput() {
    const id = await enqueue({ queue: "default", kind: "demo.noop" });
    await inState(env.url, id, "JOB_STATE_SUCCEEDED");
    for (const line of await all(`/v1/jobs/${id}/output`)) assert.equal(typeof line.data, "string");
  },
  async KindService_ListKinds() {
    await until("the kind is listed", async () => {
      const { kinds } = await ok("GET", "/v1/kinds?pageSize=1000");
      return kinds.some(({ name }) => name === "demo.noop");
    });
  },
  async KindService_GetKind() {
    await until(
      "the kind exists",
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
    assert.match(other.json.error.message, /queue.name: differs from the value in the URL path/);
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
    const id = await enqueue(DELAYED);
    await rest("POST", `/v1/jobs/${id}:cancel`, { requestId: "audited" }, await admin());
    await until("the entry exists", async () => {
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
    const { status, json } = await rest("POST", `/v1/workers/${MISSING_ID}:drain`, {});
    assert.deepEqual([status, json.error.code], [404, "NOT_FOUND"]);
  },
};

let key;
async function admin() {
  key ??= await env.key("rest-root", "admin");
  const headers = { authorization: `Bearer ${key.credential}` };
  await until("the server accepts the key", async () => {
    return (await rest("GET", "/v1/keys", undefined, headers)).status === 200;
  });
  return headers;
}

const document = (await rest("GET", "/openapi.json")).json;
const operations = Object.values(document.paths).flatMap(Object.values);

// This test runs first, before any job is enqueued.
test("a bulk action on a server without jobs changes nothing", async () => {
  const all = { action: "BULK_ACTION_CANCEL", filter: { queues: ["default"] } };
  const done = await ok("POST", "/v1/jobs:bulk", all);
  assert.deepEqual([done.counts, done.nextPageToken], [[], ""]);
});

test("every operation has a test", () => {
  const names = operations.map(({ operationId }) => operationId);
  assert.deepEqual(Object.keys(CALLS).sort(), names.sort());
});

for (const [name, run] of Object.entries(CALLS)) test(name, run);

test("a JSON payload is kept byte for byte", async () => {
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

test("a payload that is not JSON, or is a JSON string, is base64", async () => {
  for (const bytes of ['"text"', "not json", "\u0000\u0001"]) {
    const payload = Buffer.from(bytes).toString("base64");
    const id = await enqueue({ ...DELAYED, payload });
    assert.equal((await ok("GET", `/v1/jobs/${id}`)).job.spec.payload, payload);
  }
  const payload = Buffer.from("{}").toString("base64");
  const id = await enqueue({ ...DELAYED, payload, contentType: "application/octet-stream" });
  assert.equal((await ok("GET", `/v1/jobs/${id}`)).job.spec.payload, payload);
});

async function enqueueText(body) {
  return (await ok("POST", "/v1/jobs", body)).job.id;
}

test("an error has a status, a reason and the invalid field", async () => {
  const invalid = await rest("POST", "/v1/jobs", { spec: { ...DELAYED, priority: 10 } });
  assert.equal(invalid.status, 400);
  assert.equal(invalid.json.error.code, "INVALID_ARGUMENT");
  assert.equal(invalid.json.error.reason, "INVALID_FIELD");
  assert.equal(invalid.json.error.fieldViolations[0].field, "spec.priority");
  const missing = await rest("GET", `/v1/jobs/${MISSING_ID}`);
  assert.deepEqual([missing.status, missing.json.error.reason], [404, "JOB_NOT_FOUND"]);
  const unique = { ...DELAYED, unique: { key: "k", mode: "UNIQUE_MODE_REJECT" } };
  await enqueue(unique);
  const held = await rest("POST", "/v1/jobs", { spec: unique });
  assert.deepEqual([held.status, held.json.error.reason], [409, "UNIQUE_KEY_HELD"]);
  const anonymous = await rest("GET", "/v1/keys");
  assert.equal(anonymous.status, 401);
  assert.equal(anonymous.headers.get("www-authenticate"), "Bearer");
});

/** The name of the case, the request, and the expected status and message. */
const INVALID_REQUESTS = [
  ["an unknown path", "GET", "/v1/nothing", undefined, 404, /\/v1\/nothing/],
  ["an unknown verb", "POST", `/v1/jobs/${MISSING_ID}:explode`, {}, 404, /explode/],
  ["a trailing slash", "GET", "/v1/jobs/", undefined, 404, /\/v1\/jobs\//],
  ["an unsupported method", "PUT", "/v1/jobs", {}, 405, /GET, POST/],
  ["a body that is not JSON", "POST", "/v1/jobs", "{", 400, /line 1 column 1/],
  ["text after the JSON", "POST", "/v1/jobs", "{} {}", 400, /trailing/],
  ["a list as body", "POST", "/v1/jobs", "[]", 400, /expected an object/],
  [
    "an unknown field",
    "POST",
    "/v1/jobs",
    { spec: { prio: 1 } },
    400,
    /spec.prio: unknown field; known fields: queue/,
  ],
  [
    "a duplicate field",
    "POST",
    "/v1/jobs",
    '{"spec":{"queue":"a","queue":"b"}}',
    400,
    /spec.queue: is given twice/,
  ],
  [
    "a value of the wrong type",
    "POST",
    "/v1/jobs",
    { spec: { queue: 1 } },
    400,
    /spec.queue: expected text/,
  ],
  [
    "a fraction for an integer",
    "POST",
    "/v1/jobs",
    { spec: { priority: 1.5 } },
    400,
    /spec.priority: expected an integer/,
  ],
  ["a number out of range", "POST", "/v1/jobs", { spec: { priority: -1 } }, 400, /0 to 4294967295/],
  ["an unknown enum name", "POST", "/v1/jobs", { spec: { ack: "SOON" } }, 400, /ACK_LEVEL_STORE/],
  ["an invalid duration", "POST", "/v1/jobs", { spec: { delay: "1h" } }, 400, /1.5s/],
  ["an invalid time", "POST", "/v1/jobs", { spec: { runAt: "tomorrow" } }, 400, /2026-/],
  [
    "invalid base64",
    "POST",
    "/v1/jobs",
    { spec: { payload: "%" } },
    400,
    /spec.payload: expected base64/,
  ],
  [
    "a list item of the wrong type",
    "POST",
    "/v1/jobs",
    { spec: { dependsOn: ["a", 1] } },
    400,
    /dependsOn\[1\]/,
  ],
  [
    "two fields of a oneof",
    "POST",
    "/v1/jobs:watch",
    { jobs: {}, filter: {} },
    400,
    /filter: cannot be combined with jobs/,
  ],
  [
    "two fields of a oneof in a query",
    "GET",
    "/v1/jobs:watch?jobs.ids=a&filter.queues=b",
    undefined,
    400,
    /cannot be combined with/,
  ],
  [
    "an unknown query parameter",
    "GET",
    "/v1/counts?queue=a",
    undefined,
    400,
    /queue: unknown field; known fields: queues/,
  ],
  [
    "a duplicate query parameter",
    "GET",
    "/v1/jobs?pageSize=1&page_size=2",
    undefined,
    400,
    /twice/,
  ],
  [
    "a body field as query parameter",
    "POST",
    "/v1/jobs?actor=me",
    {},
    400,
    /set it in the request body/,
  ],
  [
    "a query parameter of the wrong type",
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
  [
    "a body for a call without one",
    "DELETE",
    `/v1/jobs/${MISSING_ID}`,
    {},
    400,
    /takes no request body/,
  ],
  [
    "an empty body for a required resource",
    "POST",
    "/v1/queues",
    undefined,
    400,
    /the request body is empty/,
  ],
];

for (const [what, method, path, body, status, message] of INVALID_REQUESTS) {
  test(`${what} is refused with ${status}`, async () => {
    const response = await rest(method, path, body);
    assert.equal(response.status, status, response.text);
    assert.match(response.json.error.message, message);
    assert.ok(response.json.error.reason);
    if (status === 405) assert.equal(response.headers.get("allow"), "GET, POST");
  });
}

test("a body of another content type or encoding is refused with 415", async () => {
  for (const type of [
    "application/x-www-form-urlencoded",
    "text/plain",
    "application/json; charset=latin1",
  ]) {
    const response = await rest("POST", "/v1/jobs", "{}", { "content-type": type });
    assert.deepEqual(
      [response.status, response.json.error.reason],
      [415, "UNSUPPORTED_MEDIA_TYPE"],
      type,
    );
  }
  const compressed = await rest("POST", "/v1/jobs", "{}", { "content-encoding": "gzip" });
  assert.equal(compressed.status, 415);
});

test("oversized requests are refused", async () => {
  const deep = `{"spec":{"labels":${'{"a":'.repeat(200_000)}`;
  assert.equal((await rest("POST", "/v1/jobs", deep)).status, 400);
  const balanced = `{"spec":{"labels":{"a":${"[".repeat(200_000)}${"]".repeat(200_000)}}}}`;
  assert.equal((await rest("POST", "/v1/jobs", balanced)).status, 400);
  // The gateway responds before it reads the body, so the client may miss the response.
  const declared = await sendLargeBody({ "content-length": 21 << 20 });
  assert.ok(declared === undefined || declared === "413 BODY_TOO_LARGE", declared);
  assert.equal(await sendLargeBody({ "transfer-encoding": "chunked" }), "413 BODY_TOO_LARGE");
  const query = await rest("GET", `/v1/counts?queues=${"a".repeat(1 << 20)}`).catch(
    (error) => error,
  );
  if (!(query instanceof Error))
    assert.ok(query.status >= 400 && query.status < 500, String(query.status));
  const many = await rest("GET", `/v1/counts?${"queues=a&".repeat(6_000)}`);
  assert.equal(many.status, 400, many.text);
  assert.equal((await ok("GET", "/v1/counts?queues=none")).queues.length, 0);
});

/** Sends a body over the limit. Returns the status and reason, or undefined without a response:
 * the gateway may close the connection while the client still writes, so write errors are ignored. */
function sendLargeBody(length) {
  return new Promise((resolve) => {
    const headers = { "content-type": "application/json", ...length };
    const sent = httpRequest(
      `${env.url}/v1/jobs`,
      { method: "POST", headers, agent: false },
      (response) => {
        let text = "";
        response.on("error", () => undefined).on("data", (data) => (text += data));
        response.on("end", () =>
          resolve(`${response.statusCode} ${JSON.parse(text).error.reason}`),
        );
      },
    );
    sent.on("socket", (socket) => socket.on("error", () => undefined));
    sent.on("error", () => undefined).on("close", () => resolve(undefined));
    sent.end(Buffer.alloc(21 << 20, " "));
  });
}

test("HEAD responds as GET without the body", async () => {
  const head = await rest("HEAD", "/v1/queues");
  assert.deepEqual([head.status, head.text], [200, ""]);
});
