// Job events at a steady rate, as a busy installation has them.
import { demo } from "../../tests/web/harness/contract.js";

/** Changes that one demo.noop makes: it is there, it runs, it has ended. */
const CHANGES = 3;
const BATCHES_PER_SECOND = 10;

/** Enqueues jobs until it is stopped; `stop()` answers how many events a second there were. */
export function load({ jobs }, eventsPerSecond) {
  const perBatch = Math.ceil(eventsPerSecond / CHANGES / BATCHES_PER_SECOND);
  const specs = Array.from({ length: perBatch }, () => demo("noop"));
  const began = performance.now();
  let batches = 0;
  let isStopped = false;
  const running = (async () => {
    while (!isStopped) {
      await jobs.enqueueBatch({ specs });
      batches += 1;
      const next = began + (batches * 1000) / BATCHES_PER_SECOND;
      await new Promise((resolve) => setTimeout(resolve, Math.max(0, next - performance.now())));
    }
  })();
  return {
    async stop() {
      isStopped = true;
      await running;
      return (batches * perBatch * CHANGES * 1000) / (performance.now() - began);
    },
  };
}
