// Generates job events at a constant rate.
import { demo } from "../../tests/web/harness/api.js";

/** The number of events of one demo.noop job: enqueued, started, finished. */
const EVENTS_PER_JOB = 3;
const BATCHES_PER_SECOND = 10;

/** Enqueues jobs until `stop()` is called, which returns the actual number of events per second. */
export function startLoad({ jobs }, eventsPerSecond) {
  const batchSize = Math.ceil(eventsPerSecond / EVENTS_PER_JOB / BATCHES_PER_SECOND);
  const specs = Array.from({ length: batchSize }, () => demo("noop"));
  const startedAt = performance.now();
  let batches = 0;
  let isStopped = false;
  const running = (async () => {
    while (!isStopped) {
      await jobs.enqueueBatch({ specs });
      batches += 1;
      const nextAt = startedAt + (batches * 1000) / BATCHES_PER_SECOND;
      await new Promise((resolve) => setTimeout(resolve, Math.max(0, nextAt - performance.now())));
    }
  })();
  return {
    async stop() {
      isStopped = true;
      await running;
      const events = batches * batchSize * EVENTS_PER_JOB;
      return (events * 1000) / (performance.now() - startedAt);
    },
  };
}
