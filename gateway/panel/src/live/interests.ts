// Who wants to see what, and the one request that shows it to all of them.
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { WatchRequestSchema } from "../gen/sentinel/jobs/v1/job_service_pb";

export interface Wish {
  /** Jobs to follow. */
  ids?: readonly string[];
  /** Also their log lines. */
  logs?: boolean;
}

/** What one watch takes. */
export const IDS_MAX = 100;

export class Interests {
  #wishes = new Set<Wish>();

  add(wish: Wish): () => void {
    // Two screens may ask with the same object.
    const own = { ...wish };
    this.#wishes.add(own);
    return () => this.#wishes.delete(own);
  }

  isEmpty(): boolean {
    return this.#wishes.size === 0;
  }

  has(id: string): boolean {
    for (const wish of this.#wishes) if (wish.ids?.includes(id)) return true;
    return false;
  }

  /** The same text for the same stream. */
  selection(isOpen: (id: string) => boolean): string {
    const { ids, logs } = this.#union(isOpen);
    return `${logs ? "logs" : ""} ${ids.toSorted().join(" ")}`;
  }

  /** With the summary of all queues, which every screen shows some of. */
  request(
    isOpen: (id: string) => boolean,
    cursor: string,
  ): MessageInitShape<typeof WatchRequestSchema> {
    const { ids, logs } = this.#union(isOpen);
    if (ids.length === 0) return { summary: {} };
    return { selector: { case: "jobs", value: { ids } }, summary: {}, includeLogs: logs, cursor };
  }

  /** The newest wishes first, since what came last is what is looked at. */
  #union(isOpen: (id: string) => boolean): { ids: string[]; logs: boolean } {
    const ids = new Set<string>();
    let logs = false;
    for (const wish of [...this.#wishes].reverse()) {
      for (const id of wish.ids ?? []) {
        if (ids.size >= IDS_MAX) break;
        if (isOpen(id)) {
          ids.add(id);
          logs ||= wish.logs ?? false;
        }
      }
    }
    return { ids: [...ids], logs };
  }
}
