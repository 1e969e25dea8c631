// Tests behind a real Envoy: as HTTP proxy of the gateway, and as gRPC-Web proxy of the server.
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { demo, JobService, State, webClient } from "../harness/api.js";
import { TestEnvironment } from "../harness/environment.js";
import { grpcWebProxy, httpProxy, IDLE_S } from "../harness/envoy.js";
import { within } from "../harness/wait.js";
import { conformance } from "./conformance.js";

/** The server sends keepalives every 10 s, so two of them take longer than the idle timeout. */
const KEEPALIVES = 2;

const env = await TestEnvironment.start();
after(() => env.stop());
await env.startWorker();
const viaHttpProxy = await env.startEnvoy(httpProxy(env.gatewayAddress));
const viaGrpcWebProxy = await env.startEnvoy(grpcWebProxy(env.address));

conformance("Envoy in front of the gateway", env, viaHttpProxy);
conformance("Envoy in front of the server", env, viaGrpcWebProxy);

test("keepalives keep a stream without events open beyond the idle timeout of a proxy", async () => {
  assert.ok(KEEPALIVES * 10 > IDLE_S);
  const urls = [env.url, viaHttpProxy, viaGrpcWebProxy];
  const countKeepalives = async (url) => {
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
    throw new Error(`the stream via ${url} closed after ${keepalives} keepalives`);
  };
  const counts = await within(
    "streams outlive the idle timeout",
    Promise.all(urls.map(countKeepalives)),
    120_000,
  );
  assert.ok(
    counts.every((count) => count >= KEEPALIVES),
    String(counts),
  );
});
