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
import { type Handler, HandlerError, JobContext, Worker, type WorkerEvent, type WorkerOptions } from "../src/worker.js";
import { ADVICE, OUTCOMES, RETURNED, THROWN } from "./hostile-values.js";

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

/** Runs a worker until each handler, and one more that is `good`, has reported. Returns the reports by kind. */
async function runAll(handlers: Record<string, Handler>, options: Partial<WorkerOptions> = {}) {
  kinds = [...Object.keys(handlers), "good"];
  const stop = new AbortController();
  const good: Handler = async () => {
    while (reports().length < Object.keys(handlers).length) await pause(5);
    stop.abort();
    return "good";
  };
  const worker = new Worker({ endpoint, handlers: { ...handlers, good }, drainTimeoutMs: 0, ...options });
  await worker.run({ signal: stop.signal });
  const outcomes = new Map(reports().map(({ lease, outcome }) => [lease?.jobId, outcome]));
  assert.equal(outcomes.get("good")?.case, "succeeded");
  return outcomes;
}

test("whatever a handler throws fails its own attempt only", async () => {
  const throwing = THROWN.map((make, index): [string, Handler] => [
    `throw-${index}`,
    () => {
      throw make();
    },
  ]);
  const returning = [...RETURNED.map(([make]) => make), ...OUTCOMES].map((make, index): [string, Handler] => [
    `return-${index}`,
    make,
  ]);
  const handlers = Object.fromEntries([...throwing, ...returning]);
  const outcomes = await runAll(handlers, { onLog: () => {} });
  for (const kind of Object.keys(handlers)) {
    const outcome = outcomes.get(kind);
    assert.ok(outcome?.case === "failed" && outcome.value.error?.message, kind);
    if (kind.startsWith("return")) assert.match(outcome.value.error.code, /^BAD_(RESULT|OUTCOME)$/);
  }
});

test("advice of any type never fails an attempt", async () => {
  const handlers = ADVICE.map(([count, text], index): [string, Handler] => [
    `advise-${index}`,
    (job) => {
      job.progress(count as number, count as number, text as string);
      job.log(text as "info", text as string);
      return "advised";
    },
  ]);
  const outcomes = await runAll(Object.fromEntries(handlers));
  for (const [kind] of handlers) assert.equal(outcomes.get(kind)?.case, "succeeded", kind);
  const progress = received.flatMap((frame) => (frame.case === "progress" ? frame.value.items : []));
  const done = (kind: string) => progress.find(({ lease }) => lease?.jobId === kind)?.progress?.done;
  assert.deepEqual([done("advise-0"), done("advise-3"), done("advise-4")], [2n ** 64n - 1n, 0n, 0n]);
});

test("a worker reports its events, and a hook that fails has no effect", async () => {
  const events: WorkerEvent[] = [];
  const lines: string[] = [];
  const onEvent = (event: WorkerEvent) => {
    events.push(event);
    if (event.type === "failed") throw Object.create(null);
    return Promise.reject(new Error("hook"));
  };
  const thrown = new HandlerError("no", { code: "NO" });
  const bad: Handler = () => {
    throw thrown;
  };
  await runAll({ bad }, { onEvent, onLog: (_, message) => lines.push(message) });
  const failed = events.find((event) => event.type === "failed");
  assert.ok(failed?.type === "failed" && failed.thrown === thrown && failed.job.kind === "bad");
  assert.deepEqual([failed.failure.message, failed.failure.code, failed.failure.retryable], ["no", "NO", true]);
  const connected = events.find((event) => event.type === "connected");
  assert.ok(connected?.type === "connected" && connected.server === "test");
  assert.ok(events.some((event) => event.type === "succeeded" && event.job.kind === "good"));
  // The log of the worker has the stack.
  assert.match(lines.join("\n"), /attempt failed: job bad .*code NO: .*no\n {4}at .*worker\.test/);
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
