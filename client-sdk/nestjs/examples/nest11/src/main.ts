/** Enqueues a job, runs it in the same process, and prints its result: `SENTINEL=127.0.0.1:7070 node dist/main.js`. */
import "reflect-metadata";
import { Injectable, Module } from "@nestjs/common";
import { NestFactory } from "@nestjs/core";
import { Client, JobContext, OnWorkerEvent, Process, Processor, SentinelModule } from "@sentinel/nestjs";

@Injectable()
class Names {
  upper(name: string): string {
    return name.toUpperCase();
  }
}

@Processor("default", { concurrency: 4 })
class Greeter {
  constructor(private readonly names: Names) {}

  @Process("nest.greet", { description: "Greets a person", inputSchema: { type: "object", required: ["name"] } })
  greet(job: JobContext): { text: string } {
    return { text: `hello ${this.names.upper(job.payloadJson<{ name: string }>().name)}` };
  }

  @OnWorkerEvent("succeeded")
  succeeded(): void {
    console.log("succeeded");
  }
}

@Injectable()
class Greetings {
  constructor(private readonly client: Client) {}

  async greet(name: string): Promise<string> {
    const { job } = await this.client.enqueue({ kind: "nest.greet", payload: { name } });
    return (await this.client.job<{ text: string }>(job.id).result({ timeoutMs: 20_000 })).text;
  }
}

@Module({
  imports: [
    SentinelModule.forRootAsync({ useFactory: () => ({ endpoint: process.env.SENTINEL ?? "127.0.0.1:7070" }) }),
  ],
  providers: [Names, Greeter, Greetings],
})
class AppModule {}

async function main(): Promise<void> {
  const app = await NestFactory.createApplicationContext(AppModule, { logger: ["error", "warn"] });
  console.log(await app.get(Greetings).greet("Ada"));
  await app.close();
}

main().catch((error: unknown) => {
  console.error(error);
  process.exitCode = 1;
});
