// The subscriptions of all components, and the one watch request that covers them.
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { WatchRequestSchema } from "../gen/sentinel/jobs/v1/job_service_pb";

export interface Subscription {
  /** The jobs to follow. */
  ids?: readonly string[];
  /** Whether to receive their log lines. */
  logs?: boolean;
}

/** The server's limit of ids per watch. */
export const IDS_MAX = 100;

export class Subscriptions {
  #all = new Set<Subscription>();

  /** Returns a function that removes the subscription. */
  add(subscription: Subscription): () => void {
    // A copy, because two components may pass the same object.
    const added = { ...subscription };
    this.#all.add(added);
    return () => this.#all.delete(added);
  }

  isEmpty(): boolean {
    return this.#all.size === 0;
  }

  has(id: string): boolean {
    for (const one of this.#all) if (one.ids?.includes(id)) return true;
    return false;
  }

  /** Returns a key that is equal for equal requests. */
  key(isWatchable: (id: string) => boolean): string {
    const { ids, logs } = this.#union(isWatchable);
    return `${logs ? "logs" : ""} ${ids.toSorted().join(" ")}`;
  }

  /** Returns the watch request. It always includes the summary, which every screen uses. */
  request(
    isWatchable: (id: string) => boolean,
    cursor: string,
  ): MessageInitShape<typeof WatchRequestSchema> {
    const { ids, logs } = this.#union(isWatchable);
    if (ids.length === 0) return { summary: {} };
    return { selector: { case: "jobs", value: { ids } }, summary: {}, includeLogs: logs, cursor };
  }

  /** Newest subscriptions first: over the limit, the screen opened last takes precedence. */
  #union(isWatchable: (id: string) => boolean): { ids: string[]; logs: boolean } {
    const ids = new Set<string>();
    let logs = false;
    for (const subscription of [...this.#all].reverse()) {
      for (const id of subscription.ids ?? []) {
        if (ids.size >= IDS_MAX) break;
        if (isWatchable(id)) {
          ids.add(id);
          logs ||= subscription.logs ?? false;
        }
      }
    }
    return { ids: [...ids], logs };
  }
}
