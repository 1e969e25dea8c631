/**
 * The Node client for the conformance tests: reads one JSON command per line, runs them concurrently, and writes
 * one JSON line per finished command.
 */
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { parseArgs } from "node:util";
import {
  ApiError,
  CallTimeoutError,
  Client,
  InvalidArgumentError,
  JobState,
  ProtocolError,
  resultText,
  TransportError,
} from "../src/index.js";

interface Command {
  readonly id: number;
  readonly call: string;
  readonly kind: string;
  readonly payload: unknown;
  readonly job_id: string;
  readonly deadline_ms?: number;
}

const { values } = parseArgs({
  options: {
    endpoint: { type: "string", multiple: true },
    credential: { type: "string" },
    ca: { type: "string" },
  },
});

/** The client, or why the SDK refuses its endpoint. */
const client = ((): Client | InvalidArgumentError => {
  try {
    const tls = values.ca === undefined ? {} : { tls: { ca: readFileSync(values.ca, "utf8") } };
    const credential = values.credential === undefined ? {} : { credential: values.credential };
    return new Client(values.endpoint ?? [], { ...tls, ...credential });
  } catch (error) {
    if (error instanceof InvalidArgumentError) return error;
    throw error;
  }
})();

async function run(command: Command): Promise<object> {
  if (client instanceof InvalidArgumentError) throw client;
  const { job_id: id, deadline_ms } = command;
  const options = deadline_ms === undefined ? {} : { deadlineMs: deadline_ms };
  switch (command.call) {
    case "enqueue": {
      const { job } = await client.enqueue({ kind: command.kind, payload: command.payload }, options);
      return { job_id: job.id };
    }
    case "get": {
      const job = await client.get(id, options);
      return { state: JobState[job.state], version: Number(job.version) };
    }
    case "wait_for_result": {
      const timeout = deadline_ms === undefined ? {} : { timeoutMs: deadline_ms };
      const job = await client.waitForResult(id, timeout);
      return { state: JobState[job.state], result: resultText(job) };
    }
    default:
      throw new InvalidArgumentError(`unknown call ${command.call}`);
  }
}

function describe(error: unknown): object {
  const base = { type: "protocol", reason: "", message: String(error), violations: [], retry_delay_ms: 0 };
  if (!(error instanceof Error)) return base;
  const { message } = error;
  if (error instanceof ApiError) {
    const violations = error.fieldViolations.map(({ field, description }) => ({ field, description }));
    const { reason, retryAfterMs = 0 } = error;
    return { ...base, type: "api", reason, message, violations, retry_delay_ms: retryAfterMs };
  }
  if (error instanceof TransportError) return { ...base, type: "transport", message };
  if (error instanceof CallTimeoutError) return { ...base, type: "timeout", message };
  if (error instanceof InvalidArgumentError) return { ...base, type: "invalid_argument", message };
  if (error instanceof ProtocolError) return { ...base, message };
  return base;
}

async function answer(line: string): Promise<void> {
  const command = JSON.parse(line) as Command;
  const outcome = await run(command).then(
    (ok) => ({ ok }),
    (error: unknown) => ({ error: describe(error) }),
  );
  process.stdout.write(`${JSON.stringify({ id: command.id, ...outcome })}\n`);
}

const answers: Promise<void>[] = [];
for await (const line of createInterface({ input: process.stdin })) {
  if (line.trim() !== "") answers.push(answer(line));
}
await Promise.all(answers);
if (client instanceof Client) client.close();
