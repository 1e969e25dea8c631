/** The module: `SentinelModule.forRoot({ endpoint })` in the root module of the application. */
import { DynamicModule, Module, Provider } from "@nestjs/common";
import { DiscoveryModule } from "@nestjs/core";
import { Client } from "@sentinel/client";
import { SENTINEL_OPTIONS, type SentinelAsyncOptions, type SentinelOptions } from "./options";
import { SentinelWorkers } from "./sentinel-workers";

@Module({})
export class SentinelModule {
  /** Provides `Client` to all modules and runs the processors of the application. */
  static forRoot(options: SentinelOptions): DynamicModule {
    return toModule([], { provide: SENTINEL_OPTIONS, useValue: options });
  }

  /** As `forRoot`, with options from other providers, such as a ConfigService. */
  static forRootAsync({ imports, inject, useFactory }: SentinelAsyncOptions): DynamicModule {
    return toModule(imports ?? [], { provide: SENTINEL_OPTIONS, useFactory, inject: inject ?? [] });
  }
}

function toModule(imports: NonNullable<DynamicModule["imports"]>, options: Provider): DynamicModule {
  return {
    module: SentinelModule,
    global: true,
    imports: [...imports, DiscoveryModule],
    providers: [options, { provide: Client, useFactory: toClient, inject: [SENTINEL_OPTIONS] }, SentinelWorkers],
    exports: [Client],
  };
}

function toClient({ endpoint, credential, tls, client }: SentinelOptions): Client {
  return new Client(endpoint, {
    ...client,
    ...(credential !== undefined && { credential }),
    ...(tls !== undefined && { tls }),
  });
}
