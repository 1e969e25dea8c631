/** Checks the options of a worker and converts them into the settings of its session. */
import { hostname } from "node:os";
import { parseEndpoints } from "../endpoint.js";
import { InvalidArgumentError } from "../errors.js";
import { JsonWriter } from "../json-writer.js";
import { truncate } from "../text.js";
import type { DescribedHandler, Handler, WorkerOptions } from "./options.js";
import type { SessionConfig } from "./thread-messages.js";

const MAX_NAME_BYTES = 128;
const MAX_SCHEMA_BYTES = 16 * 1024;

/** @throws InvalidArgumentError that names the option. */
export function toSessionConfig(options: WorkerOptions): SessionConfig {
  const endpoints = typeof options.endpoint === "string" ? [options.endpoint] : options.endpoint;
  const queues = [...new Set(options.queues ?? ["default"])];
  const kinds = Object.entries(options.handlers).map(([name, handler]) => toKind(name, handler));
  const pid = `-${process.pid}`;
  const config: SessionConfig = {
    endpoints: parseEndpoints(endpoints, options),
    credential: options.credential,
    tls: options.tls,
    instance: options.instance ?? truncate(hostname() || "worker", MAX_NAME_BYTES - pid.length) + pid,
    buildVersion: options.buildVersion ?? "",
    queues,
    kinds,
    labels: options.labels ?? {},
    slots: options.concurrency ?? 64,
    maxPayloadBytes: options.maxRunningPayloadBytes ?? 64 * 1024 * 1024,
    drainTimeoutMs: options.drainTimeoutMs ?? 30_000,
  };
  checkRange("endpoint", endpoints.length, 1, 100, "servers");
  checkRange("instance", Buffer.byteLength(config.instance), 1, MAX_NAME_BYTES, "bytes");
  checkRange("buildVersion", Buffer.byteLength(config.buildVersion), 0, MAX_NAME_BYTES, "bytes");
  checkRange("queues", queues.length, 1, 100, "queues");
  checkRange("handlers", kinds.length, 1, 1000, "handlers");
  checkRange("labels", Object.keys(config.labels).length, 0, 16, "labels");
  checkRange("concurrency", config.slots, 1, 100_000, "jobs");
  checkRange("maxRunningPayloadBytes", config.maxPayloadBytes, 0, Number.MAX_SAFE_INTEGER, "bytes");
  checkRange("drainTimeoutMs", config.drainTimeoutMs, 0, 2 ** 31, "ms");
  for (const { name, description, inputSchema } of kinds) {
    checkName(name);
    checkRange(`description of ${name}`, Buffer.byteLength(description), 0, 1024, "bytes");
    checkRange(`inputSchema of ${name}`, Buffer.byteLength(inputSchema), 0, MAX_SCHEMA_BYTES, "bytes");
  }
  for (const queue of queues) checkName(queue);
  return config;
}

function toKind(name: string, handler: Handler | DescribedHandler): SessionConfig["kinds"][number] {
  if (typeof handler === "function") return { name, description: "", inputSchema: "" };
  const { description = "", inputSchema = "" } = handler;
  const path = `inputSchema of ${name}`;
  return {
    name,
    description,
    inputSchema: typeof inputSchema === "string" ? inputSchema : new JsonWriter(path).write(inputSchema),
  };
}

function checkRange(field: string, value: number, min: number, max: number, unit: string): void {
  if (Number.isInteger(value) && value >= min && value <= max) return;
  throw new InvalidArgumentError(`invalid ${field}: ${value} ${unit}; allowed are ${min}..${max}`);
}

function checkName(name: string): void {
  if (/^[A-Za-z0-9._-]{1,128}$/.test(name)) return;
  const allowed = `allowed are 1..${MAX_NAME_BYTES} characters of [A-Za-z0-9._-]`;
  throw new InvalidArgumentError(`invalid queue or kind ${JSON.stringify(name)}; ${allowed}`);
}
