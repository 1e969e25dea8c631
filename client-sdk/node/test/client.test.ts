/** The client against a scripted server: retries and watches. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { constants, createServer, type Http2Server, type ServerHttp2Session, type ServerHttp2Stream } from "node:http2";
import type { AddressInfo } from "node:net";
import { after, before, test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { Code, ConnectError, type ConnectRouter, type HandlerContext } from "@connectrpc/connect";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import { BadRequestSchema, ErrorInfoSchema } from "../src/gen/google/rpc/error_details_pb.js";
import { ApiError, Client, InvalidArgumentError, JobState, TransportError } from "../src/index.js";
import {
  type EnqueueRequest,
  EnqueueResponseSchema,
  JobService,
  type WatchRequest,
  type WatchResponse,
  WatchResponseSchema,
} from "../src/proto.js";

type EnqueueHandler = (request: EnqueueRequest, context: HandlerContext) => void;
type WatchHandler = (request: WatchRequest) => AsyncIterable<WatchResponse>;

let server: Http2Server;
let endpoint: string;
const sessions = new Set<ServerHttp2Session>();
let onEnqueue: EnqueueHandler = () => {};
let onWatch: WatchHandler = async function* () {};

before(async () => {
  const routes = (router: ConnectRouter) =>
    router.service(JobService, {
      enqueue: (request, context) => {
        onEnqueue(request, context);
        return create(EnqueueResponseSchema, { job: { id: "j1" } });
      },
      watch: (request) => onWatch(request),
    });
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

test("retries are limited and keep the request id of the caller", async () => {
  const ids: string[] = [];
  onEnqueue = (request) => {
    ids.push(request.requestId);
    throw new ConnectError("unavailable", Code.Unavailable);
  };
  const call = withClient(new Client(endpoint), (c) => c.enqueue({ kind: "echo" }, { requestId: "caller-key" }));
  await assert.rejects(call, (error) => error instanceof ApiError && error.code === Code.Unavailable);
  assert.deepEqual(ids, ["caller-key", "caller-key", "caller-key", "caller-key"]);
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
  const call = withClient(new Client("127.0.0.1:1"), (c) => c.get("j1"));
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
