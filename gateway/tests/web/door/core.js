// What every way to the server must do: through the gateway alone, and with a proxy before it.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Code, ConnectError } from "@connectrpc/connect";
import {
  demo,
  frame,
  JobService,
  reasonOf,
  State,
  unframe,
  webClient,
} from "../harness/contract.js";
import { within } from "../harness/wait.js";

/** A job that waits until it is told to run. */
const later = () => demo("noop", {}, { delay: { seconds: 3600n } });

/** Declares the tests of one way into the world. */
export function core(way, world, url) {
  const jobs = webClient(JobService, url);

  test(`${way}: a unary call answers`, async () => {
    const { job } = await jobs.enqueue({ spec: demo("echo", { a: 1 }) });
    assert.match(job.id, /\w/);
    const read = await jobs.get({ id: job.id });
    assert.equal(new TextDecoder().decode(read.job.spec.payload), '{"a":1}');
  });

  test(`${way}: events of a stream come while it is open, in the order they happened`, async () => {
    const { job } = await jobs.enqueue({ spec: later() });
    const events = jobs.watch({ selector: { case: "jobs", value: { ids: [job.id] } } });
    const seen = [];
    // What is asked for next is done only after an event was seen: were events held back until
    // the stream ends, none of this would happen.
    const next = { SCHEDULED: () => jobs.runNow({ id: job.id }) };
    await within(
      "the job ends in view",
      (async () => {
        for await (const { event, cursor } of events) {
          const shown =
            event.case === "snapshot" ? event.value.jobs : [event.value.job].filter(Boolean);
          for (const { state } of shown) {
            const name = Object.keys(State).find((name) => State[name] === state);
            seen.push(name);
            assert.notEqual(cursor, "");
            if (name === "SUCCEEDED") return;
            await next[name]?.();
            delete next[name];
          }
        }
      })(),
    );
    assert.equal(seen[0], "SCHEDULED");
    assert.equal(seen.at(-1), "SUCCEEDED");
  });

  test(`${way}: a stream goes on from a cursor with what was missed`, async () => {
    const { job } = await jobs.enqueue({ spec: later() });
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

  test(`${way}: trailers are the last frame, in lower case and without a message behind them`, async () => {
    const answer = await fetch(`${url}/${JobService.typeName}/Counts`, {
      method: "POST",
      headers: { "content-type": "application/grpc-web+proto", "x-grpc-web": "1" },
      body: frame(JobService.method.counts.input, {}),
    });
    assert.equal(answer.status, 200);
    assert.match(answer.headers.get("content-type"), /^application\/grpc-web/);
    const { messages, trailers } = unframe(
      JobService.method.counts.output,
      Buffer.from(await answer.arrayBuffer()),
    );
    assert.equal(messages.length, 1);
    assert.equal(trailers["grpc-status"], "0");
  });

  test(`${way}: grpc-web-text carries the same in base64`, async () => {
    const answer = await fetch(`${url}/${JobService.typeName}/Counts`, {
      method: "POST",
      headers: {
        "content-type": "application/grpc-web-text",
        accept: "application/grpc-web-text",
        "x-grpc-web": "1",
      },
      body: frame(JobService.method.counts.input, {}).toString("base64"),
    });
    assert.match(answer.headers.get("content-type"), /^application\/grpc-web-text/);
    const text = await answer.text();
    // Each part is base64 with its own padding.
    const parts = text.match(/[A-Za-z0-9+/]+={0,2}/g).map((part) => Buffer.from(part, "base64"));
    const { messages, trailers } = unframe(JobService.method.counts.output, Buffer.concat(parts));
    assert.equal(messages.length, 1);
    assert.equal(trailers["grpc-status"], "0");
  });

  test(`${way}: an error brings its reason`, async () => {
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

  test(`${way}: an error comes at the start of a stream, too`, async () => {
    const events = jobs.watch({ cursor: "no cursor", selector: { case: "filter", value: {} } });
    await assert.rejects(
      (async () => {
        for await (const _ of events) assert.fail("an event for a wrong cursor");
      })(),
      (error) => error instanceof ConnectError && error.code === Code.InvalidArgument,
    );
  });

  test(`${way}: a deadline ends a stream`, async () => {
    const { job } = await jobs.enqueue({ spec: later() });
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
    await world.watchers(0);
    assert.ok(snapshots <= 1);
  });

  test(`${way}: who stops reading is no watcher of the server any more`, async () => {
    const abort = new AbortController();
    const events = jobs.watch(
      { selector: { case: "filter", value: {} } },
      { signal: abort.signal },
    );
    const reading = (async () => {
      for await (const _ of events) await world.watchers(1).then(() => abort.abort());
    })();
    await assert.rejects(
      within("the aborted stream ends", reading),
      (error) => error.code === Code.Canceled,
    );
    await world.watchers(0);
  });
}
