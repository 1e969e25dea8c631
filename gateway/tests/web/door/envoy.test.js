// Behind a real Envoy: as the proxy of the gateway, and with its own gRPC-Web before the server.
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { demo, JobService, State, webClient } from "../harness/contract.js";
import { grpcWebBefore, IDLE_S, plainBefore } from "../harness/envoy.js";
import { within } from "../harness/wait.js";
import { World } from "../harness/world.js";
import { core } from "./core.js";

/** Keepalives come every 10 s: over two of them the idle time passes once. */
const KEEPALIVES = 2;

const world = await World.start();
after(() => world.stop());
await world.startWorker();
const throughProxy = await world.startEnvoy(plainBefore(world.gatewayAddress));
const throughFilter = await world.startEnvoy(grpcWebBefore(world.address));

core("Envoy before the gateway", world, throughProxy);
core("Envoy before the server", world, throughFilter);

test("keepalives hold a silent stream open for longer than a proxy's idle time", async () => {
  assert.ok(KEEPALIVES * 10 > IDLE_S);
  const ways = [world.url, throughProxy, throughFilter];
  const quiet = async (url) => {
    const jobs = webClient(JobService, url);
    const { job } = await jobs.enqueue({ spec: demo("noop", {}, { delay: { seconds: 3600n } }) });
    let keepalives = 0;
    for await (const { event } of jobs.watch({
      selector: { case: "jobs", value: { ids: [job.id] } },
    })) {
      keepalives += event.case === "keepalive" ? 1 : 0;
      if (event.case === "keepalive" && keepalives === KEEPALIVES)
        await jobs.cancel({ id: job.id });
      if (event.case === "change" && event.value.job.state === State.CANCELLED) return keepalives;
    }
    throw new Error(`the stream through ${url} ended after ${keepalives} keepalives`);
  };
  const seen = await within("streams outlive the idle time", Promise.all(ways.map(quiet)), 120_000);
  assert.ok(
    seen.every((count) => count >= KEEPALIVES),
    String(seen),
  );
});
