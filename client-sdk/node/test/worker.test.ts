/** The worker against a scripted server: the faults of one handler do not affect other jobs. */
import assert from "node:assert/strict";
import { getEventListeners, once } from "node:events";
import { createServer, type Http2Server, type ServerHttp2Session } from "node:http2";
import type { AddressInfo } from "node:net";
import { after, before, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import type { ConnectRouter } from "@connectrpc/connect";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import {
  type ReportItem,
  type SessionRequest,
  type SessionResponse,
  SessionResponseSchema,
  Verdict,
  WorkerService,
} from "../src/gen/sentinel/workers/v1/worker_service_pb.js";
import { TransportError } from "../src/index.js";
import { Connection } from "../src/worker/connection.js";
import type { StartAttempt, ToSession } from "../src/worker/thread-messages.js";
import { type Handler, HandlerError, JobContext, Outcome, Worker } from "../src/worker.js";

let server: Http2Server;
let endpoint: string;
const sessions = new Set<ServerHttp2Session>();
/** The kinds of the jobs that the next session assigns. */
let kinds: string[] = [];
/** The frames that the current session has sent. */
let received: SessionRequest["frame"][] = [];

type ResponseFrame = NonNullable<MessageInitShape<typeof SessionResponseSchema>["frame"]>;

before(async () => {
  const routes = (router: ConnectRouter) => router.service(WorkerService, { session: serve });
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

async function* serve(requests: AsyncIterable<SessionRequest>): AsyncGenerator<SessionResponse> {
  received = [];
  for await (const { frame } of requests) {
    received.push(frame);
    for (const response of responses(frame)) yield create(SessionResponseSchema, { frame: response });
  }
}

function responses(frame: SessionRequest["frame"]): ResponseFrame[] {
  switch (frame.case) {
    case "hello": {
      const items = kinds.map((kind) => ({
        lease: { jobId: kind, run: 1, attempt: 1, epoch: 1n, session: "s" },
        kind,
        queue: "default",
      }));
      return [
        { case: "welcome", value: { session: "s", server: "test" } },
        { case: "assign", value: { assignSeq: 1n, items } },
      ];
    }
    case "report": {
      const items = frame.value.items.map(({ lease }) => ({ ...(lease && { lease }), verdict: Verdict.RECORDED }));
      return [{ case: "reportAck", value: { items } }];
    }
    case "ping":
      return [{ case: "pong", value: { nonce: frame.value.nonce } }];
    case "drain":
      return [{ case: "drainAck", value: { lastAssignSeq: 1n } }];
    default:
      return [];
  }
}

function reports(): ReportItem[] {
  return received.flatMap((frame) => (frame.case === "report" ? frame.value.items : []));
}

function createWorker(handlers: Record<string, Handler>): Worker {
  return new Worker({ endpoint, handlers, drainTimeoutMs: 0 });
}

test("an invalid outcome fails its own attempt only", async () => {
  const invalid: Record<string, Handler> = {
    snooze: () => Outcome.snooze(Number.NaN),
    delay: () => {
      throw new HandlerError("later", { nextDelayMs: Number.POSITIVE_INFINITY });
    },
    bigint: () => Outcome.snooze(5n as unknown as number),
    object: () => {
      throw Object.create(null);
    },
  };
  kinds = [...Object.keys(invalid), "good"];
  const stop = new AbortController();
  const good: Handler = async () => {
    while (reports().length < 4) await pause(5);
    stop.abort();
    return "good";
  };
  await createWorker({ ...invalid, good }).run({ signal: stop.signal });
  const codes = new Map(
    reports().map(({ lease, outcome }) => [
      lease?.jobId,
      outcome.case === "failed" ? outcome.value.error?.code : outcome.case,
    ]),
  );
  const code = "BAD_OUTCOME";
  const expected = { snooze: code, delay: code, bigint: code, object: code, good: "succeeded" };
  assert.deepEqual(Object.fromEntries(codes), expected);
});

test("a handler that outlives its run sends nothing in the next run", async () => {
  const [oldStarted, newStarted] = [deferred<JobContext>(), deferred<JobContext>()];
  const [oldResult, newResult] = [deferred<string>(), deferred<string>()];
  const worker = createWorker({
    old: (job) => {
      oldStarted.resolve(job);
      return oldResult.promise;
    },
    new: (job) => {
      newStarted.resolve(job);
      return newResult.promise;
    },
  });
  kinds = ["old"];
  const first = new AbortController();
  const firstRun = worker.run({ signal: first.signal });
  const old = await oldStarted.promise;
  first.abort();
  await firstRun;
  assert.deepEqual(
    reports().map(({ outcome }) => outcome.case),
    ["released"],
  );

  kinds = ["new"];
  const second = new AbortController();
  const secondRun = worker.run({ signal: second.signal });
  const job = await newStarted.promise;
  old.progress(1, 1, "old");
  old.log("info", "old");
  old.checkpoint("old").catch(() => {});
  old.writeOutput("old").catch(() => {});
  oldResult.resolve("old");
  // Gives messages of the old handler time to arrive before those of the new one.
  await pause(50);
  job.log("info", "new");
  newResult.resolve("new");
  while (reports().length === 0) await pause(5);
  second.abort();
  await secondRun;
  const results = reports().map(
    ({ outcome }) => outcome.case === "succeeded" && new TextDecoder().decode(outcome.value.result),
  );
  assert.deepEqual(results, ["new"]);
  const writes = received.filter((frame) => ["progress", "log", "checkpoint", "output"].includes(frame.case ?? ""));
  assert.deepEqual(
    writes.map((frame) => frame.case),
    ["log"],
  );
});

test("a progress count outside uint64 is clamped", () => {
  const sent: ToSession[] = [];
  const job = new JobContext({ localId: 1 } as StartAttempt, "test", (message) => sent.push(message));
  job.progress(1e300, -5n, "far");
  const [message] = sent;
  assert.ok(message?.type === "progress");
  assert.deepEqual([message.progress.done, message.progress.total], [2n ** 64n - 1n, 0n]);
});

test("failed connections leave no abort listener", async () => {
  const { signal } = new AbortController();
  for (let n = 0; n < 12; n += 1) {
    await assert.rejects(Connection.open("http://127.0.0.1:1", undefined, signal), TransportError);
    assert.equal(getEventListeners(signal, "abort").length, 0);
  }
});

/** A promise with its resolve function. */
function deferred<T>(): { promise: Promise<T>; resolve: (value: T) => void } {
  let resolve: (value: T) => void = () => {};
  const promise = new Promise<T>((resolvePromise) => {
    resolve = resolvePromise;
  });
  return { promise, resolve };
}
