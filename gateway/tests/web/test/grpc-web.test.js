// Tests of gRPC-Web calls through the gateway.
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { Code, createClient } from "@connectrpc/connect";
import { createGrpcWebTransport } from "@connectrpc/connect-node";
import { demo, JobService, reasonOf, unframe, webClient } from "../harness/api.js";
import { TestEnvironment } from "../harness/environment.js";
import { conformance } from "./conformance.js";

const env = await TestEnvironment.start({ gateway: ["--body-max-bytes", "4096"] });
after(() => env.stop());
await env.startWorker();
const jobs = webClient(JobService, env.url);

conformance("gateway", env, env.url);

test("the Node transport works as well", async () => {
  const transport = createGrpcWebTransport({ baseUrl: env.url, httpVersion: "1.1" });
  const { job } = await createClient(JobService, transport).enqueue({ spec: demo("noop") });
  assert.match(job.id, /\w/);
});

test("a body over the limit is refused with the limit", async () => {
  const spec = demo("noop", { text: "x".repeat(5000) });
  await assert.rejects(jobs.enqueue({ spec }), (error) => {
    assert.equal(error.code, Code.ResourceExhausted);
    assert.equal(reasonOf(error), "BODY_TOO_LARGE");
    assert.match(error.message, /4096 bytes/);
    return true;
  });
});

test("an unknown method is unimplemented", async () => {
  const response = await fetch(`${env.url}/${JobService.typeName}/Nothing`, {
    method: "POST",
    headers: { "content-type": "application/grpc-web+proto" },
    body: Buffer.alloc(5),
  });
  const { trailers } = unframe(
    JobService.method.counts.output,
    Buffer.from(await response.arrayBuffer()),
  );
  assert.equal(
    response.headers.get("grpc-status") ?? trailers["grpc-status"],
    String(Code.Unimplemented),
  );
});
