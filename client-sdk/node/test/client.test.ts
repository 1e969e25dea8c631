/** The client against a scripted server: retries and watches. */
import assert from "node:assert/strict";
import { getEventListeners, once } from "node:events";
import {
  constants,
  createSecureServer,
  createServer,
  type Http2Server,
  type IncomingHttpHeaders,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from "node:http2";
import type { AddressInfo } from "node:net";
import { after, before, test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { Code, ConnectError, type ConnectRouter, type HandlerContext } from "@connectrpc/connect";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import { BadRequestSchema, ErrorInfoSchema } from "../src/gen/google/rpc/error_details_pb.js";
import {
  ApiError,
  CallTimeoutError,
  Client,
  ClientClosedError,
  InvalidArgumentError,
  JobState,
  resultText,
  TransportError,
} from "../src/index.js";
import {
  type EnqueueRequest,
  EnqueueResponseSchema,
  type GetRequest,
  GetResponseSchema,
  JobIdsSchema,
  JobService,
  type ListRequest,
  ListResponseSchema,
  type WatchRequest,
  type WatchResponse,
  WatchResponseSchema,
} from "../src/proto.js";
import { selfSigned } from "./self-signed.js";

type EnqueueHandler = (request: EnqueueRequest, context: HandlerContext) => void;
type WatchHandler = (request: WatchRequest) => AsyncIterable<WatchResponse>;

let server: Http2Server;
let endpoint: string;
const sessions = new Set<ServerHttp2Session>();
let onEnqueue: EnqueueHandler = () => {};
let onWatch: WatchHandler = async function* () {};

let onGet: (request: GetRequest) => Promise<void> = async () => {};
let listed: ListRequest | undefined;

const routes = (router: ConnectRouter) =>
  router.service(JobService, {
    enqueue: (request, context) => {
      onEnqueue(request, context);
      return create(EnqueueResponseSchema, { job: { id: "j1" } });
    },
    get: async (request) => {
      await onGet(request);
      const spec = { payload: new TextEncoder().encode("{}") };
      const job = { id: request.id, version: 2n ** 53n + 1n, progress: { done: 2n ** 64n - 1n }, spec };
      return create(GetResponseSchema, { job });
    },
    list: (request) => {
      listed = request;
      return create(ListResponseSchema, { jobs: [{ id: "j1", version: 7n }] });
    },
    watch: (request) => onWatch(request),
  });

before(async () => {
  server = createServer(connectNodeAdapter({ routes }));
  server.on("session", (session) => sessions.add(session));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  endpoint = `127.0.0.1:${(server.address() as AddressInfo).port}`;
});

after(() => {
  for (const session of sessions) session.destroy();
  server.close();
});

async function withClient<T>(client: Client, action: (client: Client) => Promise<T>): Promise<T> {
  try {
    return await action(client);
  } finally {
    client.close();
  }
}

test("an unavailable enqueue is retried with the same request id, credential and traceparent", async () => {
  const ids: string[] = [];
  onEnqueue = (request, context) => {
    ids.push(request.requestId);
    assert.equal(context.requestHeader.get("authorization"), "Bearer key");
    assert.equal(context.requestHeader.get("traceparent"), "00-1-2-01");
    if (ids.length < 3) throw new ConnectError("unavailable", Code.Unavailable);
  };
  const client = new Client(endpoint, { credential: "key" });
  const { job } = await withClient(client, (c) => c.enqueue({ kind: "echo", traceparent: "00-1-2-01" }));
  assert.equal(job.id, "j1");
  assert.equal(ids.length, 3);
  assert.equal(new Set(ids).size, 1);
  assert.notEqual(ids[0], "");
});

test("a call is retried until its deadline with the request id of the caller", async () => {
  const ids: string[] = [];
  onEnqueue = (request) => {
    ids.push(request.requestId);
    throw new ConnectError("unavailable", Code.Unavailable);
  };
  const options = { requestId: "caller-key", deadlineMs: 3_000 };
  const started = performance.now();
  const call = withClient(new Client(endpoint), (c) => c.enqueue({ kind: "echo" }, options));
  await assert.rejects(call, (error) => error instanceof ApiError && error.code === Code.Unavailable);
  assert.ok(performance.now() - started < 3_500);
  assert.ok(ids.length >= 5 && ids.every((id) => id === "caller-key"), ids.join());
});

test("an invalid request is not retried and lists its field violations", async () => {
  let calls = 0;
  onEnqueue = () => {
    calls += 1;
    const info = { desc: ErrorInfoSchema, value: { reason: "INVALID_FIELD", domain: "sentinel" } };
    const fieldViolations = [{ field: "spec.priority", description: "10; allowed are 0..9" }];
    throw new ConnectError("no", Code.InvalidArgument, undefined, [
      info,
      { desc: BadRequestSchema, value: { fieldViolations } },
    ]);
  };
  await assert.rejects(
    withClient(new Client(endpoint), (c) => c.enqueue({ kind: "echo", priority: 10 })),
    (error) => {
      assert.ok(error instanceof ApiError);
      assert.equal(error.reason, "INVALID_FIELD");
      assert.deepEqual(error.fieldViolations, [{ field: "spec.priority", description: "10; allowed are 0..9" }]);
      return true;
    },
  );
  assert.equal(calls, 1);
});

test("a stream or a connection that closes without a status is retried", async () => {
  const disconnects = [
    (stream: ServerHttp2Stream) => stream.close(constants.NGHTTP2_CANCEL),
    (stream: ServerHttp2Stream) => stream.session?.destroy(),
  ];
  onEnqueue = () => {};
  const disconnect = (stream: ServerHttp2Stream) => disconnects.shift()?.(stream);
  server.prependListener("stream", disconnect);
  const { job } = await withClient(new Client(endpoint), (c) => c.enqueue({ kind: "echo" }));
  server.off("stream", disconnect);
  assert.deepEqual([job.id, disconnects.length], ["j1", 0]);
});

test("a call to a closed port is a transport error", async () => {
  const call = withClient(new Client("127.0.0.1:1"), (c) => c.get("j1", { deadlineMs: 500 }));
  await assert.rejects(call, TransportError);
});

test("an invalid endpoint is rejected by the constructor", () => {
  for (const invalid of ["", "ftp://x:1"]) assert.throws(() => new Client(invalid), InvalidArgumentError);
  const plain = () => new Client("http://x:1", { tls: { ca: "" } });
  const plainMessage = "invalid endpoint http://x:1: tls is set, but the scheme is not https://";
  assert.throws(plain, { message: plainMessage });
  const certOnly = () => new Client("https://x:1", { tls: { cert: "" } });
  assert.throws(certOnly, { message: "invalid tls: set both cert and key, or neither" });
});

test("a watch resumes from the last cursor and closes when the job is terminal", async () => {
  const cursors: string[] = [];
  const frame = (cursor: string, state: JobState) =>
    create(WatchResponseSchema, { cursor, event: { case: "change", value: { job: { id: "j1", state } } } });
  onWatch = async function* (request) {
    cursors.push(request.cursor);
    if (cursors.length === 1) {
      yield frame("c1", JobState.RUNNING);
      // Moves the cursor but is not returned.
      yield create(WatchResponseSchema, { cursor: "c2", event: { case: "keepalive", value: {} } });
      throw new ConnectError("shutting down", Code.Unavailable);
    }
    // A stream that closes early without an error is a disconnect, too.
    if (cursors.length === 2) return;
    yield frame("c3", JobState.SUCCEEDED);
  };
  const states = await withClient(new Client(endpoint), async (client) => {
    const states: (JobState | undefined)[] = [];
    for await (const event of client.watch({ jobs: ["j1"] })) {
      if (event.case === "change") states.push(event.value.job?.state);
    }
    return states;
  });
  assert.deepEqual(states, [JobState.RUNNING, JobState.SUCCEEDED]);
  assert.deepEqual(cursors, ["", "c2", "c2"]);
});

test("a silent watch reconnects", async () => {
  let streams = 0;
  onWatch = async function* () {
    streams += 1;
    if (streams === 1) await new Promise(() => {});
    yield create(WatchResponseSchema, { cursor: "c1", event: { case: "gap", value: {} } });
    await new Promise(() => {});
  };
  const event = await withClient(new Client(endpoint), async (client) => {
    for await (const event of client.watch({ filter: {}, idleTimeoutMs: 100 })) return event.case;
    return undefined;
  });
  assert.deepEqual([event, streams], ["gap", 2]);
});

test("a permanent error closes a watch", async () => {
  onWatch = async function* () {
    throw new ConnectError("no", Code.InvalidArgument);
  };
  const read = withClient(new Client(endpoint), async (client) => {
    for await (const event of client.watch({ jobs: ["j1"] })) assert.fail(event.case);
  });
  await assert.rejects(read, (error) => error instanceof ApiError && error.code === Code.InvalidArgument);
});

test("waitForResult of an unknown job is an error", async () => {
  onWatch = async function* () {
    yield create(WatchResponseSchema, { cursor: "c1", event: { case: "snapshot", value: { unknownIds: ["j1"] } } });
  };
  const wait = withClient(new Client(endpoint), (client) => client.waitForResult("j1"));
  await assert.rejects(wait, (error) => error instanceof ApiError && error.reason === "JOB_NOT_FOUND");
});

test("many calls at once wait for each other", async () => {
  let [running, most] = [0, 0];
  const held: (() => void)[] = [];
  onGet = async () => {
    running += 1;
    most = Math.max(most, running);
    await new Promise<void>((resolve) => held.push(resolve));
    running -= 1;
  };
  const answering = setInterval(() => {
    for (const answer of held.splice(0)) answer();
  }, 5);
  const stop = new AbortController();
  const found = await withClient(new Client(endpoint), (client) =>
    Promise.all(Array.from({ length: 1_000 }, () => client.get("j1", { signal: stop.signal }))),
  ).finally(() => clearInterval(answering));
  assert.equal(found.length, 1_000);
  assert.ok(most <= 64 && most > 10, `${most} at once`);
  assert.equal(getEventListeners(stop.signal, "abort").length, 0);
  onGet = async () => {};
});

test("every spelling of an id is sent and compared as one id", async () => {
  const canonical = "0190a5c2-0000-7000-8abc-0000000000ef";
  const hex = canonical.replaceAll("-", "");
  const upper = canonical.toUpperCase();
  const spellings = [
    canonical,
    upper,
    hex,
    hex.toUpperCase(),
    `{${upper}}`,
    `urn:uuid:${canonical}`,
    `URN:UUID:${upper}`,
  ];
  onWatch = async function* (request) {
    assert.deepEqual(request.selector.value, create(JobIdsSchema, { ids: [canonical] }));
    const jobs = [{ id: canonical, state: JobState.SUCCEEDED, result: new TextEncoder().encode("done") }];
    yield create(WatchResponseSchema, { cursor: "c1", event: { case: "snapshot", value: { jobs } } });
    await new Promise(() => {});
  };
  await withClient(new Client(endpoint), async (client) => {
    for (const id of spellings) {
      assert.equal(resultText(await client.waitForResult(id, { timeoutMs: 5_000 })), "done", id);
      assert.equal((await client.get(id)).id, canonical);
    }
    // The server judges what is no id.
    for (const id of ["", "j1", `{${canonical}`, `${hex}0`, "0190a5c2-00007000-8abc-0000000000ef"]) {
      assert.equal((await client.get(id)).id, id);
    }
  });
});

test("a wait is over at its timeout", async () => {
  onWatch = async function* () {
    yield create(WatchResponseSchema, { cursor: "c1", event: { case: "snapshot", value: { jobs: [] } } });
    await new Promise(() => {});
  };
  const wait = withClient(new Client(endpoint), (client) => client.waitForResult("j1", { timeoutMs: 100 }));
  await assert.rejects(wait, CallTimeoutError);
});

test("a deadline is CallTimeoutError whatever the server makes of it", async () => {
  for (const code of [Code.DeadlineExceeded, Code.Canceled, Code.Internal]) {
    onGet = async () => {
      await new Promise((resolve) => setTimeout(resolve, 220));
      throw new ConnectError("too late", code);
    };
    const call = withClient(new Client(endpoint), (client) => client.get("j1", { deadlineMs: 200 }));
    await assert.rejects(call, CallTimeoutError, Code[code]);
  }
  onGet = async () => {
    throw new ConnectError("too late", Code.DeadlineExceeded);
  };
  const call = withClient(new Client(endpoint), (client) => client.get("j1", { deadlineMs: 200 }));
  await assert.rejects(call, CallTimeoutError);
  onGet = async () => {};
});

test("every message works with JSON.stringify", async () => {
  await withClient(new Client(endpoint), async (client) => {
    const job = await client.get("j1");
    const json = JSON.parse(JSON.stringify({ job }));
    assert.equal(json.job.version, "9007199254740993");
    assert.deepEqual(json.job.progress, { done: "18446744073709551615" });
    assert.equal(json.job.spec.payload, "e30=");
    assert.equal(JSON.parse(JSON.stringify(job.progress)).done, "18446744073709551615");
    assert.deepEqual(structuredClone(job), job);
    const { jobs } = await client.listPage({});
    assert.equal(JSON.parse(JSON.stringify(jobs))[0].version, "7");
  });
});

test("a value that its field cannot hold is InvalidArgumentError", async () => {
  await withClient(new Client(endpoint), async (client) => {
    const calls = [
      () => client.enqueue({ kind: "echo", priority: 1.5 }),
      () => client.enqueue({ kind: "echo", priority: 2 ** 40 }),
      () => client.enqueue({ kind: "echo", payload: { at: [Number.NaN] } }),
      () => client.enqueue({ kind: "echo", payload: new Uint8Array(21 * 1024 * 1024) }),
      () => client.listPage({ pageSize: 0.5 }),
      async () => client.list({ states: ["done"] }).next(),
      () => client.update("j1", { queue: "other" } as object),
    ];
    for (const [index, call] of calls.entries()) await assert.rejects(call, InvalidArgumentError, `call ${index}`);
  });
});

test("states have short names in any case", async () => {
  await withClient(new Client(endpoint), async (client) => {
    await client.list({ states: ["failed", "SUCCEEDED", "Job_State_Expired", JobState.READY] }).next();
  });
  assert.deepEqual(listed?.filter?.states, [JobState.FAILED, JobState.SUCCEEDED, JobState.EXPIRED, JobState.READY]);
});

test("the next server is used when one is not reachable or shuts down", async () => {
  onEnqueue = () => {};
  const port = endpoint.split(":")[1];
  await withClient(new Client(["127.0.0.1:1", `localhost:${port}`]), async (client) => {
    assert.equal((await client.enqueue({ kind: "echo" })).job.id, "j1");
  });
  let calls = 0;
  onEnqueue = () => {
    calls += 1;
    if (calls === 1) throw new ConnectError("shutting down", Code.Unavailable);
  };
  const ports = new Set<string | undefined>();
  const seen = (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => ports.add(stream && headers[":authority"]);
  server.on("stream", seen);
  await withClient(new Client([endpoint, `localhost:${port}`]), (client) => client.enqueue({ kind: "echo" }));
  server.off("stream", seen);
  assert.deepEqual([...ports], [endpoint, `localhost:${port}`]);
});

test("closing fails pending calls and watches, and leaves nothing behind", async () => {
  onGet = () => new Promise(() => {});
  onWatch = async function* () {
    await new Promise(() => {});
  };
  const client = new Client(endpoint);
  const pending = Promise.allSettled([
    client.get("j1"),
    client.waitForResult("j1"),
    client
      .watch({ jobs: ["j1"] })
      [Symbol.asyncIterator]()
      .next(),
  ]);
  await once(server, "stream");
  client.close();
  const settled = await pending;
  for (const result of settled) assert.ok(result.status === "rejected" && result.reason instanceof ClientClosedError);
  await assert.rejects(client.get("j1"), ClientClosedError);
  onGet = async () => {};
});

test("an IPv6 address works", async () => {
  const authorities: (string | undefined)[] = [];
  const seen = (_: ServerHttp2Stream, headers: IncomingHttpHeaders) => authorities.push(headers[":authority"]);
  const ipv6 = createServer(connectNodeAdapter({ routes }));
  ipv6.on("stream", seen).listen(0, "::1");
  await once(ipv6, "listening");
  const address = `[::1]:${(ipv6.address() as AddressInfo).port}`;
  await withClient(new Client(address), (client) => client.get("j1"));
  ipv6.close();
  assert.deepEqual(authorities, [address]);
});

test("a wrong scheme is reported at once", async () => {
  const { cert, key } = selfSigned();
  const secure = createSecureServer({ cert, key }, connectNodeAdapter({ routes })).listen(0, "127.0.0.1");
  await once(secure, "listening");
  const secureUrl = `http://127.0.0.1:${(secure.address() as AddressInfo).port}`;
  const fails = async (url: string, message: string) => {
    const call = withClient(new Client(url), (client) => client.get("j1"));
    await assert.rejects(call, (error) => error instanceof TransportError && error.message === message);
  };
  await fails(secureUrl, `cannot reach ${secureUrl}: the server expects TLS; use https://`);
  const plainUrl = `https://${endpoint}`;
  await fails(plainUrl, `cannot reach ${plainUrl}: the server does not use TLS; use http://`);
  secure.close();
});
