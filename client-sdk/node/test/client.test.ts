/** The client against a scripted server: what is repeated, what is not, and how a watch goes on. */
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

type Enqueue = (request: EnqueueRequest, context: HandlerContext) => void;
type Watching = (request: WatchRequest) => AsyncIterable<WatchResponse>;

let server: Http2Server;
let endpoint: string;
const sessions = new Set<ServerHttp2Session>();
let onEnqueue: Enqueue = () => {};
let onWatch: Watching = async function* () {};

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

async function using<T>(client: Client, run: (client: Client) => Promise<T>): Promise<T> {
  try {
    return await run(client);
  } finally {
    client.close();
  }
}

test("a call without an answer is repeated under one request id, with credential and trace", async () => {
  const ids: string[] = [];
  onEnqueue = (request, context) => {
    ids.push(request.requestId);
    assert.equal(context.requestHeader.get("authorization"), "Bearer key");
    assert.equal(context.requestHeader.get("traceparent"), "00-1-2-01");
    if (ids.length < 3) throw new ConnectError("not now", Code.Unavailable);
  };
  const client = new Client(endpoint, { credential: "key" });
  const { job } = await using(client, (c) => c.enqueue({ kind: "echo", traceparent: "00-1-2-01" }));
  assert.equal(job.id, "j1");
  assert.equal(ids.length, 3);
  assert.equal(new Set(ids).size, 1);
  assert.notEqual(ids[0], "");
});

test("the tries are bounded, and the caller's request id is kept", async () => {
  const ids: string[] = [];
  onEnqueue = (request) => {
    ids.push(request.requestId);
    throw new ConnectError("not now", Code.Unavailable);
  };
  const call = using(new Client(endpoint), (c) => c.enqueue({ kind: "echo" }, { requestId: "mine" }));
  await assert.rejects(call, (error) => error instanceof ApiError && error.code === Code.Unavailable);
  assert.deepEqual(ids, ["mine", "mine", "mine", "mine"]);
});

test("a refusal is not repeated and says what is wrong", async () => {
  let calls = 0;
  onEnqueue = () => {
    calls += 1;
    const info = { desc: ErrorInfoSchema, value: { reason: "INVALID_FIELD", domain: "sentinel" } };
    const fieldViolations = [{ field: "spec.priority", description: "10; allowed are 0..9" }];
    throw new ConnectError("no", Code.InvalidArgument, undefined, [info, { desc: BadRequestSchema, value: { fieldViolations } }]);
  };
  await assert.rejects(
    using(new Client(endpoint), (c) => c.enqueue({ kind: "echo", priority: 10 })),
    (error) => {
      assert.ok(error instanceof ApiError);
      assert.equal(error.reason, "INVALID_FIELD");
      assert.deepEqual(error.fieldViolations, [{ field: "spec.priority", description: "10; allowed are 0..9" }]);
      return true;
    },
  );
  assert.equal(calls, 1);
});

test("a stream or a connection that ends without a status is no answer", async () => {
  const breaks = [
    (stream: ServerHttp2Stream) => stream.close(constants.NGHTTP2_CANCEL),
    (stream: ServerHttp2Stream) => stream.session?.destroy(),
  ];
  onEnqueue = () => {};
  const breakOne = (stream: ServerHttp2Stream) => breaks.shift()?.(stream);
  server.prependListener("stream", breakOne);
  const { job } = await using(new Client(endpoint), (c) => c.enqueue({ kind: "echo" }));
  server.off("stream", breakOne);
  assert.deepEqual([job.id, breaks.length], ["j1", 0]);
});

test("nobody listens", async () => {
  const call = using(new Client("127.0.0.1:1"), (c) => c.get("j1"));
  await assert.rejects(call, TransportError);
});

test("an endpoint that can not be used is refused at once", () => {
  for (const bad of ["", "ftp://x:1"]) assert.throws(() => new Client(bad), InvalidArgumentError);
  const clear = () => new Client("http://x:1", { tls: { ca: "" } });
  assert.throws(clear, { message: "tls is said, but http://x:1 is in the clear; expected https://" });
  const half = () => new Client("https://x:1", { tls: { cert: "" } });
  assert.throws(half, { message: "tls: cert and key belong together" });
});

test("a watch resumes after the last cursor and ends cleanly", async () => {
  const cursors: string[] = [];
  const frame = (cursor: string, state: JobState) =>
    create(WatchResponseSchema, { cursor, event: { case: "change", value: { job: { id: "j1", state } } } });
  onWatch = async function* (request) {
    cursors.push(request.cursor);
    if (cursors.length === 1) {
      yield frame("c1", JobState.RUNNING);
      // Not shown; moves the cursor.
      yield create(WatchResponseSchema, { cursor: "c2", event: { case: "keepalive", value: {} } });
      throw new ConnectError("going", Code.Unavailable);
    }
    // A clean end that comes too early is a break as well.
    if (cursors.length === 2) return;
    yield frame("c3", JobState.SUCCEEDED);
  };
  const states = await using(new Client(endpoint), async (client) => {
    const states: (JobState | undefined)[] = [];
    for await (const event of client.watch({ jobs: ["j1"] })) {
      if (event.case === "change") states.push(event.value.job?.state);
    }
    return states;
  });
  assert.deepEqual(states, [JobState.RUNNING, JobState.SUCCEEDED]);
  assert.deepEqual(cursors, ["", "c2", "c2"]);
});

test("a silent watch is dialled again", async () => {
  let streams = 0;
  onWatch = async function* () {
    streams += 1;
    if (streams === 1) await new Promise(() => {});
    yield create(WatchResponseSchema, { cursor: "c1", event: { case: "gap", value: {} } });
    await new Promise(() => {});
  };
  const seen = await using(new Client(endpoint), async (client) => {
    for await (const event of client.watch({ filter: {}, idleBoundMs: 100 })) return event.case;
    return undefined;
  });
  assert.deepEqual([seen, streams], ["gap", 2]);
});

test("errors that can not pass end a watch", async () => {
  onWatch = async function* () {
    throw new ConnectError("no", Code.InvalidArgument);
  };
  const read = using(new Client(endpoint), async (client) => {
    for await (const event of client.watch({ jobs: ["j1"] })) assert.fail(event.case);
  });
  await assert.rejects(read, (error) => error instanceof ApiError && error.code === Code.InvalidArgument);
});

test("waiting for an unknown job is an error", async () => {
  onWatch = async function* () {
    yield create(WatchResponseSchema, { cursor: "c1", event: { case: "snapshot", value: { unknownIds: ["j1"] } } });
  };
  const wait = using(new Client(endpoint), (client) => client.waitForResult("j1"));
  await assert.rejects(wait, (error) => error instanceof ApiError && error.reason === "JOB_NOT_FOUND");
});
