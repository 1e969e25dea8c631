/**
 * The moments at which held attempts need attention, soonest first. What no longer applies is left
 * in the heap and skipped; when most of it is such, the heap is made anew.
 */

export type TimerKind = "runTimeout" | "abandon" | "resend";

interface Entry {
  readonly atMs: number;
  readonly no: number;
  readonly kind: TimerKind;
}

export class Timers {
  #heap: Entry[] = [];
  readonly #set = new Map<string, Entry>();

  set(no: number, kind: TimerKind, atMs: number): void {
    const entry = { atMs, no, kind };
    this.#set.set(`${no}${kind}`, entry);
    this.#push(entry);
    if (this.#heap.length > 64 && this.#heap.length > 2 * this.#set.size) {
      // Sorted is a heap, too.
      this.#heap = [...this.#set.values()].sort((a, b) => a.atMs - b.atMs);
    }
  }

  clear(no: number, kind: TimerKind): void {
    this.#set.delete(`${no}${kind}`);
  }

  clearAll(no: number): void {
    this.clear(no, "runTimeout");
    this.clear(no, "abandon");
    this.clear(no, "resend");
  }

  nextMs(): number | undefined {
    this.#dropStale();
    return this.#heap[0]?.atMs;
  }

  /** The next entry that is due. */
  take(nowMs: number): Entry | undefined {
    this.#dropStale();
    const first = this.#heap[0];
    if (first === undefined || first.atMs > nowMs) return undefined;
    this.#pop();
    this.clear(first.no, first.kind);
    return first;
  }

  #dropStale(): void {
    for (let first = this.#heap[0]; first !== undefined; first = this.#heap[0]) {
      if (this.#set.get(`${first.no}${first.kind}`) === first) return;
      this.#pop();
    }
  }

  #push(entry: Entry): void {
    const heap = this.#heap;
    let at = heap.push(entry) - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (heap[parent]!.atMs <= entry.atMs) break;
      heap[at] = heap[parent]!;
      at = parent;
    }
    heap[at] = entry;
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop();
    if (last === undefined || heap.length === 0) return;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && heap[child + 1]!.atMs < heap[child]!.atMs) child += 1;
      if (last.atMs <= heap[child]!.atMs) break;
      heap[at] = heap[child]!;
      at = child;
    }
    heap[at] = last;
  }
}
