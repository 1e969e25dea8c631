// One Watch stream for all tabs of a browser. It runs in a shared worker, and each tab follows it
// as if it were the tab's own stream. A browser opens only six connections to a server over
// HTTP/1.1, and a stream occupies one for as long as its page is open.
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { Code } from "@connectrpc/connect";
import type { Job } from "../gen/sentinel/jobs/v1/job_pb";
import {
  type WatchResponse,
  WatchResponseSchema,
  type WatchSummary,
} from "../gen/sentinel/jobs/v1/job_service_pb";
import type { ConnectionState, LiveHub } from "./hub";

/** What a tab follows. */
export interface Selection {
  ids: readonly string[];
  logs: boolean;
}

/** A message of a tab. A selection comes with the port for its responses. */
export type TabMessage = { type: "watch"; selection: Selection } | { type: "reset" };

/** A message to a tab. An error ends the stream of the tab. */
export type StreamMessage =
  | { type: "responses"; responses: WatchResponse[] }
  | { type: "error"; code: Code; message: string };

type Send = (message: StreamMessage) => void;
type Event = NonNullable<MessageInitShape<typeof WatchResponseSchema>["event"]>;

interface Follower extends Selection {
  send: Send;
  unfollow: () => void;
  /** What the tab knows. */
  jobs: Map<string, Job>;
  unknown: Set<string>;
  summary: WatchSummary | undefined;
  streamCount: number | undefined;
  /** The lost connection that the tab knows about. The next one ends its stream. */
  lost: ConnectionState | undefined;
}

/** Tabs try again at their own times. The stream is not opened again more often than this. */
const RECONNECT_MIN_MS = 2_000;

const response = (event: Event): WatchResponse => create(WatchResponseSchema, { event });

export class SharedStream {
  #createHub: () => LiveHub;
  #now: () => number;
  #hub!: LiveHub;
  #followers = new Set<Follower>();
  #reconnectedAt = Number.NEGATIVE_INFINITY;

  constructor(createHub: () => LiveHub, now: () => number = Date.now) {
    this.#createHub = createHub;
    this.#now = now;
    this.#replaceHub();
  }

  /** Handles a message of a tab. */
  receive(message: TabMessage, port: MessagePort | undefined): void {
    if (message.type === "reset") this.reset();
    else if (port) {
      const remove = this.add(message.selection, (sent) => port.postMessage(sent));
      // The only message on this port says that the tab closed its stream.
      port.onmessage = () => {
        remove();
        port.close();
      };
    }
  }

  /** Adds a tab. Returns a function that removes it. Without tabs there is no stream. */
  add({ ids, logs }: Selection, send: Send): () => void {
    const hub = this.#hub;
    // The tab may know of a newer run of a job that was terminal here.
    hub.forget(ids);
    const { status } = hub.connection();
    if (status === "lost" && this.#now() - this.#reconnectedAt >= RECONNECT_MIN_MS) {
      this.#reconnectedAt = this.#now();
      hub.reconnect();
    }
    const follower: Follower = {
      ids,
      logs,
      send,
      unfollow: hub.follow({ ids, logs }),
      jobs: new Map(),
      unknown: new Set(),
      summary: undefined,
      streamCount: undefined,
      lost: status === "lost" ? hub.connection() : undefined,
    };
    this.#followers.add(follower);
    if (status === "live") this.#update(follower);
    return () => this.#remove(follower);
  }

  /** Starts over with the current cookies, after a sign-in or a sign-out in any tab. */
  reset(): void {
    const message = "a tab of this browser signed in or out";
    for (const follower of [...this.#followers]) this.#fail(follower, Code.Aborted, message);
    this.#hub.pause();
    this.#replaceHub();
  }

  #replaceHub(): void {
    const hub = this.#createHub();
    this.#hub = hub;
    hub.subscribe(() => {
      if (this.#hub !== hub) return;
      for (const follower of [...this.#followers]) this.#update(follower);
    });
    hub.onLogs((id, lines) => {
      if (this.#hub !== hub) return;
      const message = [response({ case: "log", value: { id, lines: [...lines] } })];
      for (const { ids, logs, send } of this.#followers)
        if (logs && ids.includes(id)) send({ type: "responses", responses: message });
    });
  }

  #remove(follower: Follower): void {
    this.#followers.delete(follower);
    follower.unfollow();
  }

  #fail(follower: Follower, code: Code, message: string): void {
    this.#remove(follower);
    follower.send({ type: "error", code, message });
  }

  /** Sends what the tab does not know yet. */
  #update(follower: Follower): void {
    const connection = this.#hub.connection();
    if (connection.status === "lost") {
      const { code, rawMessage } = connection.error;
      if (connection !== follower.lost) this.#fail(follower, code, rawMessage);
      return;
    }
    if (connection.status !== "live") return;
    const responses = this.#news(follower);
    if (responses.length > 0) follower.send({ type: "responses", responses });
  }

  #news(follower: Follower): WatchResponse[] {
    const hub = this.#hub;
    const found: WatchResponse[] = [];
    const streamCount = hub.streamCount();
    if (follower.streamCount !== streamCount) {
      // Log lines may be missing between two streams.
      if (follower.streamCount !== undefined) found.push(response({ case: "gap", value: {} }));
      follower.streamCount = streamCount;
    }
    for (const id of follower.ids) {
      const job = hub.job(id);
      if (job && follower.jobs.get(id) !== job) {
        follower.jobs.set(id, job);
        found.push(response({ case: "change", value: { job } }));
      }
      if (hub.isUnknown(id) && !follower.unknown.has(id)) {
        follower.unknown.add(id);
        found.push(response({ case: "snapshot", value: { unknownIds: [id] } }));
      }
    }
    const summary = hub.summary();
    if (summary && summary !== follower.summary) {
      follower.summary = summary;
      found.push(response({ case: "summary", value: summary }));
    }
    return found;
  }
}
