/** The options of the module. */
import type { ModuleMetadata } from "@nestjs/common";
import type { ClientOptions, WorkerOptions } from "@sentinel/client";

export interface SentinelOptions {
  /** The servers of one cluster: `https://host:port`, `http://host:port` or `host:port`. */
  readonly endpoint: string | readonly string[];
  /** The API key of the client and of the workers. */
  readonly credential?: string;
  /** The certificates of `https://` connections. */
  readonly tls?: NonNullable<ClientOptions["tls"]>;
  /** Further options of the client. */
  readonly client?: Omit<ClientOptions, "credential" | "tls">;
  /** Options of all workers. `@Processor` overrides them. */
  readonly worker?: Partial<Omit<WorkerOptions, "endpoint" | "credential" | "tls" | "handlers" | "queues">>;
  /** Whether this process runs the processors. Default true. Set it to false in processes that only enqueue. */
  readonly runWorkers?: boolean;
}

export interface SentinelAsyncOptions extends Pick<ModuleMetadata, "imports"> {
  // biome-ignore lint/suspicious/noExplicitAny: as in NestJS, the types of injected values are not known here
  readonly useFactory: (...args: any[]) => SentinelOptions | Promise<SentinelOptions>;
  /** The providers whose instances `useFactory` receives. */
  // biome-ignore lint/suspicious/noExplicitAny: as in NestJS
  readonly inject?: any[];
}

/** The injection token of `SentinelOptions`. */
export const SENTINEL_OPTIONS = Symbol.for("@sentinel/nestjs.options");
