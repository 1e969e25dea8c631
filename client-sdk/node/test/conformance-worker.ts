/** The runtime with the agreed handlers, for the conformance tests. */
import { open } from "node:fs/promises";
import { setTimeout as pause } from "node:timers/promises";
import { parseArgs } from "node:util";
import { CheckpointError, type Handler, HandlerError, type Job, Outcome, OutputError, Worker } from "../src/worker.js";
import { tlsOptions } from "./tls.js";

const { values } = parseArgs({
  options: {
    endpoint: { type: "string", multiple: true },
    concurrency: { type: "string", default: "8" },
    "drain-timeout-ms": { type: "string", default: "30000" },
    instance: { type: "string", default: "conformance" },
    credential: { type: "string" },
  },
});

const ms = (job: Job) => job.json<{ ms: number }>().ms;

/** As that of the demo worker: a side effect that can be counted afterwards. */
const effect: Handler = async (job) => {
  const { file, ms = 0 } = job.json<{ file: string; ms?: number }>();
  const mark = async (what: string) => {
    const handle = await open(file, "a");
    try {
      await handle.write(`${job.fence}\t${job.instance}\t${what}\n`);
      await handle.sync();
    } finally {
      await handle.close();
    }
  };
  await mark("start");
  try {
    await pause(ms, undefined, { signal: job.signal });
  } catch {
    return Outcome.cancelled();
  }
  await mark("end");
  return job.fence;
};

const handlers: Record<string, Handler> = {
  echo: (job) => job.payload,
  fail: (job) => {
    type Failure = { message: string; code: string; retryable: boolean; next_delay_ms?: number };
    const { message, code, retryable, next_delay_ms } = job.json<Failure>();
    const delay = next_delay_ms === undefined ? {} : { nextDelayMs: next_delay_ms };
    throw new HandlerError(message, { code, retryable, ...delay });
  },
  throw: () => {
    throw new TypeError("plain");
  },
  big: () => new Uint8Array(1024 * 1024 + 1),
  wait: async (job) => {
    if (!job.signal.aborted) await new Promise((resolve) => job.signal.addEventListener("abort", resolve));
    return Outcome.cancelled();
  },
  sleep: async (job) => {
    await pause(ms(job), undefined, { signal: job.signal }).catch((cause: unknown) => {
      throw new Error("stopped", { cause });
    });
    return "slept";
  },
  deaf: async (job) => {
    await pause(ms(job), undefined, { ref: false });
    return "deaf";
  },
  spin: (job) => {
    const until = performance.now() + ms(job);
    while (performance.now() < until);
    return "spun";
  },
  progress: (job) => {
    const { n } = job.json<{ n: number }>();
    for (let done = 1; done <= n; done += 1) job.progress(done, n, String(done));
    return "told";
  },
  checkpoint: async (job) => {
    const before = new TextDecoder().decode(job.lastCheckpoint);
    try {
      await job.checkpoint(job.json<{ data: string }>().data);
      return `${before}/stored`;
    } catch (error) {
      if (error instanceof CheckpointError) return `${before}/${error.why}`;
      throw error;
    }
  },
  output: async (job) => {
    try {
      for (const part of job.json<{ parts: string[] }>().parts) await job.output(part);
      return "stored";
    } catch (error) {
      if (error instanceof OutputError) return error.why;
      throw error;
    }
  },
  log: (job) => {
    for (const line of job.json<{ lines: string[] }>().lines) job.log("warn", line);
    return "logged";
  },
  snooze: (job) => Outcome.snooze(ms(job)),
  release: () => Outcome.release(),
  "demo.effect": effect,
};

const worker = new Worker({
  endpoint: values.endpoint ?? [],
  queues: ["default"],
  handlers,
  concurrency: Number(values.concurrency),
  drainTimeoutMs: Number(values["drain-timeout-ms"]),
  instance: values.instance,
  build: "1.2.3",
  labels: { zone: "a" },
  ...(values.credential === undefined ? {} : { credential: values.credential }),
  ...tlsOptions,
});
await worker.run();
