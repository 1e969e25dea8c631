/** The decorators of processors. They only store metadata; `SentinelWorkers` reads it. */
import "reflect-metadata";
import { Injectable } from "@nestjs/common";
import type { DescribedHandler, WorkerEvent, WorkerOptions } from "@sentinel/client";

const PROCESSOR = "sentinel:processor";
const PROCESSES = "sentinel:processes";
const EVENTS = "sentinel:events";

/** Options of the worker of one processor class. */
export type ProcessorOptions = Partial<Omit<WorkerOptions, "endpoint" | "credential" | "tls" | "handlers" | "queues">>;
/** A declaration of the kind for people: a description and the JSON Schema of the payload. */
export type ProcessOptions = Omit<DescribedHandler, "handler">;

export interface ProcessorMetadata {
  readonly queues: readonly string[];
  readonly options: ProcessorOptions;
}

export interface ProcessMetadata {
  readonly kind: string;
  readonly method: string | symbol;
  readonly options: ProcessOptions;
}

export interface EventMetadata {
  readonly type: WorkerEvent["type"];
  readonly method: string | symbol;
}

/** Marks a class whose methods run the jobs of a queue, or of several. Default queue: `default`. */
export function Processor(
  queue: string | readonly string[] = "default",
  options: ProcessorOptions = {},
): ClassDecorator {
  const metadata: ProcessorMetadata = { queues: typeof queue === "string" ? [queue] : queue, options };
  return (target) => {
    Injectable()(target);
    Reflect.defineMetadata(PROCESSOR, metadata, target);
  };
}

/** Marks the method that runs the jobs of a kind. It receives a `JobContext`; what it returns is the result. */
export function Process(kind: string, options: ProcessOptions = {}): MethodDecorator {
  return (target, method) => append<ProcessMetadata>(PROCESSES, target, { kind, method, options });
}

/** Marks a method that receives an event of the processor's worker, such as `failed`. */
export function OnWorkerEvent(type: WorkerEvent["type"]): MethodDecorator {
  return (target, method) => append<EventMetadata>(EVENTS, target, { type, method });
}

/** Metadata is stored with the class, and a subclass extends that of its base class. */
function append<T>(key: string, prototype: object, entry: T): void {
  const entries = (Reflect.getMetadata(key, prototype.constructor) ?? []) as readonly T[];
  Reflect.defineMetadata(key, [...entries, entry], prototype.constructor);
}

export function processorMetadata(type: object): ProcessorMetadata | undefined {
  return Reflect.getMetadata(PROCESSOR, type) as ProcessorMetadata | undefined;
}

export function processMetadata(type: object): readonly ProcessMetadata[] {
  return (Reflect.getMetadata(PROCESSES, type) ?? []) as readonly ProcessMetadata[];
}

export function eventMetadata(type: object): readonly EventMetadata[] {
  return (Reflect.getMetadata(EVENTS, type) ?? []) as readonly EventMetadata[];
}
