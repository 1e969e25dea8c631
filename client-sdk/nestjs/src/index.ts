/** NestJS module of the Sentinel job orchestrator: an injectable client, and workers by decorators. */
export { Client, JobContext } from "@sentinel/client";
export { OnWorkerEvent, Process, type ProcessOptions, Processor, type ProcessorOptions } from "./decorators";
export type { SentinelAsyncOptions, SentinelOptions } from "./options";
export { SentinelModule } from "./sentinel.module";
export { SentinelWorkers } from "./sentinel-workers";
