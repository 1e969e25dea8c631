// Calls through the gateway as a page makes them.
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { Code, createClient } from "@connectrpc/connect";
import { createGrpcWebTransport } from "@connectrpc/connect-node";
import { demo, JobService, reasonOf, unframe, webClient } from "../harness/contract.js";
import { World } from "../harness/world.js";
import { core } from "./core.js";

const world = await World.start({ gateway: ["--body-max-bytes", "4096"] });
after(() => world.stop());
await world.startWorker();
const jobs = webClient(JobService, world.url);

core("gateway", world, world.url);

test("the client of Node speaks to it as well", async () => {
  const transport = createGrpcWebTransport({ baseUrl: world.url, httpVersion: "1.1" });
  const { job } = await createClient(JobService, transport).enqueue({ spec: demo("noop") });
  assert.match(job.id, /\w/);
});

test("a body beyond the bound is refused with the bound", async () => {
  const spec = demo("noop", { text: "x".repeat(5000) });
  await assert.rejects(jobs.enqueue({ spec }), (error) => {
    assert.equal(error.code, Code.ResourceExhausted);
    assert.equal(reasonOf(error), "BODY_TOO_LARGE");
    assert.match(error.message, /4096 bytes/);
    return true;
  });
});

test("a call that there is not is said so", async () => {
  const answer = await fetch(`${world.url}/${JobService.typeName}/Nothing`, {
    method: "POST",
    headers: { "content-type": "application/grpc-web+proto" },
    body: Buffer.alloc(5),
  });
  const { trailers } = unframe(
    JobService.method.counts.output,
    Buffer.from(await answer.arrayBuffer()),
  );
  assert.equal(
    answer.headers.get("grpc-status") ?? trailers["grpc-status"],
    String(Code.Unimplemented),
  );
});
