/** The Node worker with the handlers of the conformance tests. */
import { open } from "node:fs/promises";
import { setTimeout as pause } from "node:timers/promises";
import { parseArgs } from "node:util";
import {
  CheckpointError,
  type Handler,
  HandlerError,
  type JobContext,
  Outcome,
  OutputError,
  Worker,
} from "../src/worker.js";
import { ADVICE, RETURNED, THROWN } from "./hostile-values.js";
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

const delayMs = (job: JobContext) => job.payloadJson<{ ms: number }>().ms;

/** The index of the payload within a table of this length. */
const index = (job: JobContext, length: number) => job.payloadJson<{ index: number }>().index % length;

/** As in the demo worker: appends to a file, so that tests can count the side effects. */
const effect: Handler = async (job) => {
  const { file, ms = 0 } = job.payloadJson<{ file: string; ms?: number }>();
  const append = async (event: string) => {
    const handle = await open(file, "a");
    try {
      await handle.write(`${job.fencingToken}\t${job.instance}\t${event}\n`);
      await handle.sync();
    } finally {
      await handle.close();
    }
  };
  await append("start");
  try {
    await pause(ms, undefined, { signal: job.signal });
  } catch {
    return Outcome.cancelled();
  }
  await append("end");
  return job.fencingToken;
};

const handlers: Record<string, Handler> = {
  echo: (job) => job.payload,
  fail: (job) => {
    type Failure = { message: string; code: string; retryable: boolean; next_delay_ms?: number };
    const { message, code, retryable, next_delay_ms } = job.payloadJson<Failure>();
    const delay = next_delay_ms === undefined ? {} : { nextDelayMs: next_delay_ms };
    throw new HandlerError(message, { code, retryable, ...delay });
  },
  throw: () => {
    throw new TypeError("plain");
  },
  large_result: () => new Uint8Array(1024 * 1024 + 1),
  wait_for_cancel: async (job) => {
    if (!job.signal.aborted) await new Promise((resolve) => job.signal.addEventListener("abort", resolve));
    return Outcome.cancelled();
  },
  sleep: async (job) => {
    await pause(delayMs(job), undefined, { signal: job.signal }).catch((cause: unknown) => {
      throw new Error("stopped", { cause });
    });
    return "slept";
  },
  ignore_cancel: async (job) => {
    await pause(delayMs(job), undefined, { ref: false });
    return "finished";
  },
  busy_loop: (job) => {
    const until = performance.now() + delayMs(job);
    while (performance.now() < until);
    return "finished";
  },
  progress: (job) => {
    const { n } = job.payloadJson<{ n: number }>();
    for (let done = 1; done <= n; done += 1) job.progress(done, n, String(done));
    return "reported";
  },
  checkpoint: async (job) => {
    const last = new TextDecoder().decode(job.lastCheckpoint);
    try {
      await job.checkpoint(job.payloadJson<{ data: string }>().data);
      return `${last}/stored`;
    } catch (error) {
      if (error instanceof CheckpointError) return `${last}/${error.reason}`;
      throw error;
    }
  },
  output: async (job) => {
    try {
      for (const part of job.payloadJson<{ parts: string[] }>().parts) await job.writeOutput(part);
      return "stored";
    } catch (error) {
      if (error instanceof OutputError) return error.reason;
      throw error;
    }
  },
  log: (job) => {
    for (const line of job.payloadJson<{ lines: string[] }>().lines) job.log("warn", line);
    return "logged";
  },
  snooze: (job) => Outcome.snooze(delayMs(job)),
  release: () => Outcome.release(),
  throw_hostile: (job) => {
    throw THROWN[index(job, THROWN.length)]?.();
  },
  return_hostile: (job) => RETURNED[index(job, RETURNED.length)]?.[0](),
  advise_hostile: (job) => {
    const [count, text] = ADVICE[index(job, ADVICE.length)] ?? [];
    job.progress(count as number, count as number, text as string);
    job.log(text as "info", text as string);
    job.log("info", text as string);
    return "advised";
  },
  throw_deep: () => {
    const innermostFrame = () => {
      throw new Error("deep");
    };
    innermostFrame();
  },
  "demo.effect": effect,
};

const worker = new Worker({
  endpoint: values.endpoint ?? [],
  queues: ["default"],
  handlers,
  concurrency: Number(values.concurrency),
  drainTimeoutMs: Number(values["drain-timeout-ms"]),
  instance: values.instance,
  buildVersion: "1.2.3",
  labels: { zone: "a" },
  ...(values.credential === undefined ? {} : { credential: values.credential }),
  ...tlsOptions,
});
await worker.run();
