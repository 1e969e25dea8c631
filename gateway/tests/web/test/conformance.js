// Tests that hold for every path to the server: through the gateway alone, and behind a proxy.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Code, ConnectError } from "@connectrpc/connect";
import { demo, frame, JobService, reasonOf, State, unframe, webClient } from "../harness/api.js";
import { within } from "../harness/wait.js";

/** Returns the spec of a job that does not start on its own. */
const delayedJob = () => demo("noop", {}, { delay: { seconds: 3600n } });

/** Declares the tests for one URL of the environment. */
export function conformance(path, env, url) {
  const jobs = webClient(JobService, url);

  test(`${path}: a unary call returns a response`, async () => {
    const { job } = await jobs.enqueue({ spec: demo("echo", { a: 1 }) });
    assert.match(job.id, /\w/);
    const read = await jobs.get({ id: job.id });
    assert.equal(new TextDecoder().decode(read.job.spec.payload), '{"a":1}');
  });

  test(`${path}: events arrive in order while the stream is open`, async () => {
    const { job } = await jobs.enqueue({ spec: delayedJob() });
    const events = jobs.watch({ selector: { case: "jobs", value: { ids: [job.id] } } });
    const seen = [];
    // The job runs only after its first event has arrived. If a proxy buffered events until the
    // end of the stream, the test would time out.
    const onState = { SCHEDULED: () => jobs.runNow({ id: job.id }) };
    await within(
      "the job succeeds on the stream",
      (async () => {
        for await (const { event, cursor } of events) {
          const changed =
            event.case === "snapshot" ? event.value.jobs : [event.value.job].filter(Boolean);
          for (const { state } of changed) {
            const name = Object.keys(State).find((name) => State[name] === state);
            seen.push(name);
            assert.notEqual(cursor, "");
            if (name === "SUCCEEDED") return;
            await onState[name]?.();
            delete onState[name];
          }
        }
      })(),
    );
    assert.equal(seen[0], "SCHEDULED");
    assert.equal(seen.at(-1), "SUCCEEDED");
  });

  test(`${path}: a stream resumes from a cursor with the missed changes`, async () => {
    const { job } = await jobs.enqueue({ spec: delayedJob() });
    const selector = { case: "jobs", value: { ids: [job.id] } };
    let cursor = "";
    for await (const event of jobs.watch({ selector })) {
      cursor = event.cursor;
      break;
    }
    await jobs.cancel({ id: job.id });
    const changes = [];
    for await (const { event } of jobs.watch({ selector, cursor })) {
      if (event.case !== "change") continue;
      changes.push(event.value.job.state);
      if (event.value.job.state === State.CANCELLED) break;
    }
    assert.equal(changes.at(-1), State.CANCELLED);
  });

  test(`${path}: lower-case trailers are the last frame of a response`, async () => {
    const response = await fetch(`${url}/${JobService.typeName}/Counts`, {
      method: "POST",
      headers: { "content-type": "application/grpc-web+proto", "x-grpc-web": "1" },
      body: frame(JobService.method.counts.input, {}),
    });
    assert.equal(response.status, 200);
    assert.match(response.headers.get("content-type"), /^application\/grpc-web/);
    const { messages, trailers } = unframe(
      JobService.method.counts.output,
      Buffer.from(await response.arrayBuffer()),
    );
    assert.equal(messages.length, 1);
    assert.equal(trailers["grpc-status"], "0");
  });

  test(`${path}: grpc-web-text returns the same frames in base64`, async () => {
    const response = await fetch(`${url}/${JobService.typeName}/Counts`, {
      method: "POST",
      headers: {
        "content-type": "application/grpc-web-text",
        accept: "application/grpc-web-text",
        "x-grpc-web": "1",
      },
      body: frame(JobService.method.counts.input, {}).toString("base64"),
    });
    assert.match(response.headers.get("content-type"), /^application\/grpc-web-text/);
    const text = await response.text();
    // The body consists of base64 chunks, each with its own padding.
    const parts = text.match(/[A-Za-z0-9+/]+={0,2}/g).map((part) => Buffer.from(part, "base64"));
    const { messages, trailers } = unframe(JobService.method.counts.output, Buffer.concat(parts));
    assert.equal(messages.length, 1);
    assert.equal(trailers["grpc-status"], "0");
  });

  test(`${path}: an error has its reason`, async () => {
    await assert.rejects(jobs.get({ id: "0198c0de-0000-7000-8000-000000000000" }), (error) => {
      assert.equal(error.code, Code.NotFound);
      assert.equal(reasonOf(error), "JOB_NOT_FOUND");
      return true;
    });
    await assert.rejects(jobs.enqueue({ spec: demo("noop", {}, { priority: 99999 }) }), (error) => {
      assert.equal(error.code, Code.InvalidArgument);
      assert.equal(reasonOf(error), "INVALID_FIELD");
      assert.match(error.message, /priority/);
      return true;
    });
  });

  test(`${path}: a stream can fail before its first event`, async () => {
    const events = jobs.watch({ cursor: "invalid", selector: { case: "filter", value: {} } });
    await assert.rejects(
      (async () => {
        for await (const _ of events) assert.fail("an event for an invalid cursor");
      })(),
      (error) => error instanceof ConnectError && error.code === Code.InvalidArgument,
    );
  });

  test(`${path}: a deadline closes a stream`, async () => {
    const { job } = await jobs.enqueue({ spec: delayedJob() });
    const selector = { case: "jobs", value: { ids: [job.id] } };
    let snapshots = 0;
    await assert.rejects(
      (async () => {
        for await (const { event } of jobs.watch({ selector }, { timeoutMs: 700 })) {
          snapshots += event.case === "snapshot" ? 1 : 0;
        }
      })(),
      (error) => error.code === Code.DeadlineExceeded,
    );
    await env.watchers(0);
    assert.ok(snapshots <= 1);
  });

  test(`${path}: an aborted stream is closed on the server`, async () => {
    const abort = new AbortController();
    const events = jobs.watch(
      { selector: { case: "filter", value: {} } },
      { signal: abort.signal },
    );
    const reading = (async () => {
      for await (const _ of events) await env.watchers(1).then(() => abort.abort());
    })();
    await assert.rejects(
      within("the aborted stream closes", reading),
      (error) => error.code === Code.Canceled,
    );
    await env.watchers(0);
  });
}
