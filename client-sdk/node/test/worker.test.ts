/** The worker against a scripted server: what one handler does must not reach the jobs of others. */
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
import { type Handler, HandlerError, Job, Outcome, Worker } from "../src/worker.js";
import { Connection } from "../src/worker/connection.js";
import type { Start, ToSession } from "../src/worker/messages.js";

let server: Http2Server;
let endpoint: string;
const sessions = new Set<ServerHttp2Session>();
/** What the next session assigns, a job of each kind. */
let kinds: string[] = [];
/** All that the present session said. */
let heard: SessionRequest["frame"][] = [];

type Answer = NonNullable<MessageInitShape<typeof SessionResponseSchema>["frame"]>;

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
  heard = [];
  for await (const { frame } of requests) {
    heard.push(frame);
    for (const answer of answers(frame)) yield create(SessionResponseSchema, { frame: answer });
  }
}

function answers(frame: SessionRequest["frame"]): Answer[] {
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
  return heard.flatMap((frame) => (frame.case === "report" ? frame.value.items : []));
}

function workerOf(handlers: Record<string, Handler>): Worker {
  return new Worker({ endpoint, handlers, drainTimeoutMs: 0 });
}

test("a wrong end of one attempt is told, and its neighbour's is as it was", async () => {
  const wrong: Record<string, Handler> = {
    snooze: () => Outcome.snooze(Number.NaN),
    delay: () => {
      throw new HandlerError("later", { nextDelayMs: Number.POSITIVE_INFINITY });
    },
    big: () => Outcome.snooze(5n as unknown as number),
    bare: () => {
      throw Object.create(null);
    },
  };
  kinds = [...Object.keys(wrong), "good"];
  const stop = new AbortController();
  const good: Handler = async () => {
    while (reports().length < 4) await pause(5);
    stop.abort();
    return "good";
  };
  await workerOf({ ...wrong, good }).run({ signal: stop.signal });
  const codes = new Map(
    reports().map(({ lease, outcome }) => [
      lease?.jobId,
      outcome.case === "failed" ? outcome.value.error?.code : outcome.case,
    ]),
  );
  const bad = "BAD_OUTCOME";
  assert.deepEqual(Object.fromEntries(codes), { snooze: bad, delay: bad, big: bad, bare: bad, good: "succeeded" });
});

test("a handler that outlives its run says nothing in the next", async () => {
  const [isOld, isNew, oldGate, newGate] = [gate<Job>(), gate<Job>(), gate<string>(), gate<string>()];
  const worker = workerOf({
    old: (job) => {
      isOld.open(job);
      return oldGate.opened;
    },
    new: (job) => {
      isNew.open(job);
      return newGate.opened;
    },
  });
  kinds = ["old"];
  const first = new AbortController();
  const firstRun = worker.run({ signal: first.signal });
  const old = await isOld.opened;
  first.abort();
  await firstRun;
  assert.deepEqual(reports().map(({ outcome }) => outcome.case), ["released"]);

  kinds = ["new"];
  const second = new AbortController();
  const secondRun = worker.run({ signal: second.signal });
  const job = await isNew.opened;
  old.progress(1, 1, "old");
  old.log("info", "old");
  old.checkpoint("old").catch(() => {});
  old.output("old").catch(() => {});
  oldGate.open("old");
  // What the old one says goes before what the new one says.
  await pause(50);
  job.log("info", "new");
  newGate.open("new");
  while (reports().length === 0) await pause(5);
  second.abort();
  await secondRun;
  const results = reports().map(({ outcome }) => outcome.case === "succeeded" && new TextDecoder().decode(outcome.value.result));
  assert.deepEqual(results, ["new"]);
  const writes = heard.filter((frame) => ["progress", "log", "checkpoint", "output"].includes(frame.case ?? ""));
  assert.deepEqual(writes.map((frame) => frame.case), ["log"]);
});

test("a count beyond 64 bits is cut to them", () => {
  const sent: ToSession[] = [];
  const job = new Job({ no: 1 } as Start, "test", (message) => sent.push(message));
  job.progress(1e300, -5n, "far");
  const [told] = sent;
  assert.ok(told?.type === "progress");
  assert.deepEqual([told.progress.done, told.progress.total], [2n ** 64n - 1n, 0n]);
});

test("dials that fail leave no listener", async () => {
  const { signal } = new AbortController();
  for (let dials = 0; dials < 12; dials += 1) {
    await assert.rejects(Connection.open("http://127.0.0.1:1", undefined, signal), TransportError);
    assert.equal(getEventListeners(signal, "abort").length, 0);
  }
});

/** A promise, and what fulfils it. */
function gate<T>(): { opened: Promise<T>; open: (value: T) => void } {
  let open: (value: T) => void = () => {};
  const opened = new Promise<T>((resolve) => {
    open = resolve;
  });
  return { opened, open };
}
