/**
 * The timers of held attempts, in a binary heap. A cleared timer stays in the heap and is skipped; the
 * heap is rebuilt when most of its entries are stale.
 */

export type TimerKind = "runTimeout" | "abandon" | "resend";

interface Entry {
  readonly atMs: number;
  readonly localId: number;
  readonly kind: TimerKind;
}

export class Timers {
  #heap: Entry[] = [];
  /** The valid entry of each timer. */
  readonly #entries = new Map<string, Entry>();

  set(localId: number, kind: TimerKind, atMs: number): void {
    const entry = { atMs, localId, kind };
    this.#entries.set(`${localId}${kind}`, entry);
    this.#push(entry);
    if (this.#heap.length > 64 && this.#heap.length > 2 * this.#entries.size) {
      // A sorted array is a valid heap.
      this.#heap = [...this.#entries.values()].sort((a, b) => a.atMs - b.atMs);
    }
  }

  clear(localId: number, kind: TimerKind): void {
    this.#entries.delete(`${localId}${kind}`);
  }

  clearAll(localId: number): void {
    this.clear(localId, "runTimeout");
    this.clear(localId, "abandon");
    this.clear(localId, "resend");
  }

  nextMs(): number | undefined {
    this.#dropStale();
    return this.#heap[0]?.atMs;
  }

  /** Removes and returns the next due timer. */
  take(nowMs: number): Entry | undefined {
    this.#dropStale();
    const first = this.#heap[0];
    if (first === undefined || first.atMs > nowMs) return undefined;
    this.#pop();
    this.clear(first.localId, first.kind);
    return first;
  }

  #dropStale(): void {
    for (let first = this.#heap[0]; first !== undefined; first = this.#heap[0]) {
      if (this.#entries.get(`${first.localId}${first.kind}`) === first) return;
      this.#pop();
    }
  }

  #push(entry: Entry): void {
    const heap = this.#heap;
    let index = heap.push(entry) - 1;
    while (index > 0) {
      const parent = (index - 1) >> 1;
      if (heap[parent]!.atMs <= entry.atMs) break;
      heap[index] = heap[parent]!;
      index = parent;
    }
    heap[index] = entry;
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop();
    if (last === undefined || heap.length === 0) return;
    let index = 0;
    for (;;) {
      let child = 2 * index + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && heap[child + 1]!.atMs < heap[child]!.atMs) child += 1;
      if (last.atMs <= heap[child]!.atMs) break;
      heap[index] = heap[child]!;
      index = child;
    }
    heap[index] = last;
  }
}
