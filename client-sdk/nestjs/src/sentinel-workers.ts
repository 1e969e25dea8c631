/** Runs a worker for each processor of the application, from its bootstrap until its shutdown. */
import {
  Inject,
  Injectable,
  Logger,
  OnApplicationBootstrap,
  OnApplicationShutdown,
  OnModuleDestroy,
} from "@nestjs/common";
import { DiscoveryService } from "@nestjs/core";
import { Client, type DescribedHandler, type JobContext, Worker, type WorkerEvent } from "@sentinel/client";
import { eventMetadata, type ProcessorMetadata, processMetadata, processorMetadata } from "./decorators";
import { SENTINEL_OPTIONS, type SentinelOptions } from "./options";

type Method = (argument: unknown) => unknown;

/** A provider with the decorator `@Processor`. */
interface FoundProcessor {
  readonly type: { readonly name: string };
  readonly instance: Record<string | symbol, Method>;
  readonly metadata: ProcessorMetadata;
}

@Injectable()
export class SentinelWorkers implements OnApplicationBootstrap, OnModuleDestroy, OnApplicationShutdown {
  readonly #logger = new Logger(SentinelWorkers.name);
  readonly #stop = new AbortController();
  readonly #runs: Promise<void>[] = [];

  constructor(
    @Inject(SENTINEL_OPTIONS) private readonly options: SentinelOptions,
    @Inject(DiscoveryService) private readonly discovery: DiscoveryService,
    @Inject(Client) private readonly client: Client,
  ) {}

  /** Rejects when a server refuses a worker, for example because its queue does not exist. */
  async onApplicationBootstrap(): Promise<void> {
    if (this.options.runWorkers === false) return;
    await Promise.all(this.#processors().map((processor) => this.#start(processor)));
  }

  /** Drains: running jobs get `drainTimeoutMs` to finish. First of the shutdown hooks, while other providers work. */
  async onModuleDestroy(): Promise<void> {
    this.#stop.abort();
    await Promise.allSettled(this.#runs);
  }

  onApplicationShutdown(): void {
    this.client.close();
  }

  #processors(): FoundProcessor[] {
    return this.discovery.getProviders().flatMap(({ metatype, instance }) => {
      const metadata = typeof metatype === "function" ? processorMetadata(metatype) : undefined;
      if (metadata === undefined || !metatype || !instance) return [];
      return [{ type: metatype, instance, metadata }];
    });
  }

  /** Resolves when the worker is connected, or when it tries to connect again. */
  #start({ type, instance, metadata }: FoundProcessor): Promise<void> {
    const { endpoint, credential, tls, worker } = this.options;
    return new Promise((resolve, reject) => {
      const onEvent = async (event: WorkerEvent) => {
        if (event.type === "connected" || event.type === "disconnected") resolve();
        const methods = eventMetadata(type).filter((entry) => entry.type === event.type);
        await Promise.all(methods.map(({ method }) => instance[method]?.(event)));
      };
      const run = new Worker({
        endpoint,
        queues: metadata.queues,
        handlers: handlersOf(type, instance),
        onLog: (level, message) => (level === "warn" ? this.#logger.warn(message) : this.#logger.log(message)),
        ...(credential !== undefined && { credential }),
        ...(tls !== undefined && { tls }),
        ...worker,
        ...metadata.options,
        onEvent: async (event) => {
          await onEvent(event);
          await (metadata.options.onEvent ?? worker?.onEvent)?.(event);
        },
      }).run({ signal: this.#stop.signal, shutdownSignals: [] });
      this.#runs.push(run);
      run.then(resolve, (error: unknown) => {
        this.#logger.error(`the worker of ${type.name} ended: ${String(error)}`);
        reject(error);
      });
    });
  }
}

/** @throws Error when a processor has no method with `@Process`, or two for one kind. */
function handlersOf(
  type: FoundProcessor["type"],
  instance: FoundProcessor["instance"],
): Record<string, DescribedHandler> {
  const handlers: Record<string, DescribedHandler> = {};
  for (const { kind, method, options } of processMetadata(type)) {
    if (Object.hasOwn(handlers, kind)) throw new Error(`${type.name} has two methods with @Process("${kind}")`);
    handlers[kind] = { ...options, handler: (job: JobContext) => instance[method]?.(job) };
  }
  if (Object.keys(handlers).length === 0) throw new Error(`${type.name} has no method with @Process(kind)`);
  return handlers;
}
