// Tests of the one stream of all tabs. The tabs are real hubs, connected by message channels.
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { Code, ConnectError } from "@connectrpc/connect";
import { JobState } from "../src/gen/sentinel/jobs/v1/job_pb";
import { LiveHub, type Watch } from "../src/live/hub";
import { SharedStream, type TabMessage } from "../src/live/shared-stream";
import { SharedWatch } from "../src/live/shared-watch";
import { A, B, HubFixture, job, until } from "./fixture";
import { Random } from "./random";

const C = "01900000-0000-7000-8000-00000000000c";
const { READY, RUNNING, SUCCEEDED } = JobState;

const noDirect: Watch = () => {
  throw new Error("the tab opened a stream of its own");
};

/** Several tabs over one shared stream. `server` plays the server and the time of the worker. */
class Tabs {
  server = new HubFixture();
  readonly stream: SharedStream;
  /** Advances the times of all tabs, too. */
  #clocks: HubFixture[] = [];

  constructor() {
    let isFirst = true;
    this.stream = new SharedStream(
      () => {
        if (!isFirst) this.server = new HubFixture();
        isFirst = false;
        return this.server.hub;
      },
      () => this.server.now,
    );
  }

  open(direct: Watch = noDirect): { hub: LiveHub; shared: SharedWatch } {
    const worker = {
      onerror: null,
      port: {
        postMessage: (message: TabMessage, [port]: MessagePort[]) =>
          this.stream.receive(structuredClone(message), port),
      },
    };
    const shared = new SharedWatch(direct, () => worker);
    const clock = new HubFixture();
    this.#clocks.push(clock);
    const hub = new LiveHub(shared.watch, clock.environment);
    // An open channel would keep the process alive.
    after(() => hub.pause());
    return { hub, shared };
  }

  /** Lets 50 ms pass everywhere. */
  step(): void {
    for (const clock of [this.server, ...this.#clocks]) {
      clock.advance(50);
      clock.drawFrame();
    }
  }

  async until(condition: () => boolean): Promise<void> {
    await until(() => {
      this.step();
      return condition();
    });
  }

  /** Returns the newest stream, when it covers these jobs. */
  async covering(ids: readonly string[]) {
    const isCovered = () => {
      const last = this.server.streams.at(-1);
      return last !== undefined && last.ids.toSorted().join() === [...ids].toSorted().join();
    };
    await this.until(isCovered);
    return this.server.streams.at(-1)!;
  }
}

test("all tabs share one stream, and each gets its own jobs", async () => {
  const tabs = new Tabs();
  const [one, other] = [tabs.open(), tabs.open()];
  one.hub.follow({ ids: [A] });
  other.hub.follow({ ids: [B] });
  const stream = await tabs.covering([A, B]);
  stream.sendSnapshot([job(A, RUNNING), job(B, READY)], "c1");
  await tabs.until(() => one.hub.job(A)?.state === RUNNING && other.hub.job(B)?.state === READY);
  assert.equal(one.hub.connection().status, "live");
  assert.equal(one.hub.job(B), undefined);
  assert.equal(tabs.server.streams.filter(({ signal }) => !signal.aborted).length, 1);
});

test("a job that a tab retries is followed again", async () => {
  const tabs = new Tabs();
  const { hub } = tabs.open();
  hub.follow({ ids: [A, B] });
  (await tabs.covering([A, B])).sendSnapshot([job(A, SUCCEEDED), job(B, RUNNING)], "c1");
  await tabs.until(() => hub.job(A)?.state === SUCCEEDED);
  hub.follow({ ids: [C] });
  await tabs.covering([B, C]);
  hub.put(job(A, READY, 5n));
  (await tabs.covering([A, B, C])).sendSnapshot([job(A, RUNNING, 6n)], "c2");
  await tabs.until(() => hub.job(A)?.state === RUNNING);
});

test("every tab learns of a lost connection, and of its return", async () => {
  const tabs = new Tabs();
  const all = [tabs.open(), tabs.open(), tabs.open()];
  for (const { hub } of all) hub.follow({});
  (await tabs.covering([])).send({ case: "summary", value: {} });
  await tabs.until(() => all.every(({ hub }) => hub.connection().status === "live"));
  tabs.server.streams.at(-1)!.fail(new ConnectError("gone", Code.Unavailable));
  await tabs.until(() => all.every(({ hub }) => hub.connection().status === "lost"));
  const { length } = tabs.server.streams;
  await tabs.until(() => tabs.server.streams.length > length);
  tabs.server.streams.at(-1)!.send({ case: "summary", value: {} });
  await tabs.until(() => all.every(({ hub }) => hub.connection().status === "live"));
});

test("after a sign-out in one tab no tab keeps the old stream", async () => {
  const tabs = new Tabs();
  const [one, other] = [tabs.open(), tabs.open()];
  for (const { hub } of [one, other]) hub.follow({});
  const old = await tabs.covering([]);
  old.send({ case: "summary", value: { queues: [{ queue: "secret" }] } });
  await tabs.until(() => other.hub.summary() !== undefined);
  one.shared.reset();
  assert.ok(old.signal.aborted);
  await tabs.until(() => tabs.server.streams.length > 0 && tabs.server.streams[0] !== old);
  tabs.server.streams.at(-1)!.fail(new ConnectError("no key", Code.Unauthenticated));
  await tabs.until(() =>
    [one, other].every(({ hub }) => {
      const connection = hub.connection();
      return connection.status === "lost" && connection.error.code === Code.Unauthenticated;
    }),
  );
});

test("a tab whose worker does not start has a stream of its own", async () => {
  const own = new HubFixture();
  const worker = { onerror: null as (() => void) | null, port: { postMessage: () => undefined } };
  const direct: Watch = (request, options) => own.watch(request, options);
  const hub = new LiveHub(new SharedWatch(direct, () => worker).watch, own.environment);
  hub.follow({ ids: [A] });
  await until(() => {
    own.advance(50);
    return worker.onerror !== null;
  });
  worker.onerror?.();
  (await own.stream(1)).sendSnapshot([job(A, RUNNING)], "c1");
  await until(() => hub.job(A)?.state === RUNNING);
});

test("tabs that come, go and change what they follow have the latest state of their jobs", async (t) => {
  const random = new Random();
  t.diagnostic(`SENTINEL_SEED=${random.seed}`);
  const ids = Array.from({ length: 12 }, (_, n) => A.slice(0, -2) + String(n + 10));
  const versions = new Map(ids.map((id) => [id, 1n]));
  const tabs = new Tabs();
  let open = [tabs.open(), tabs.open(), tabs.open()].map((tab) => ({
    ...tab,
    ids: [] as string[],
  }));
  const unfollow = new Map<LiveHub, () => void>();
  for (let round = 0; round < 60; round += 1) {
    for (const tab of open) {
      if (tab.ids.length > 0 && random.below(3) > 0) continue;
      tab.ids = ids.filter(() => random.below(3) === 0);
      if (tab.ids.length === 0) tab.ids = [random.pick(ids)];
      const before = unfollow.get(tab.hub);
      unfollow.set(tab.hub, tab.hub.follow({ ids: tab.ids }));
      before?.();
    }
    if (random.below(4) === 0) {
      const [closed, ...rest] = open;
      closed?.hub.pause();
      open = [...rest, { ...tabs.open(), ids: [] }];
      continue;
    }
    const union = [...new Set(open.flatMap((tab) => tab.ids))];
    const stream = await tabs.covering(union);
    assert.equal(tabs.server.streams.filter(({ signal }) => !signal.aborted).length, 1);
    stream.sendSnapshot(
      union.map((id) => job(id, RUNNING, versions.get(id))),
      `c${round}`,
    );
    const changed = random.pick(union);
    versions.set(changed, (versions.get(changed) ?? 0n) + 1n);
    stream.send({ case: "change", value: { job: job(changed, RUNNING, versions.get(changed)) } });
    await tabs.until(() =>
      open.every((tab) => tab.ids.every((id) => tab.hub.job(id)?.version === versions.get(id))),
    );
  }
});
