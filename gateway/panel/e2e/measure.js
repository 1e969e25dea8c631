// Measures the responsiveness and the memory of a page.

/** Starts recording. Must be called before the page is opened. */
export async function observe(page) {
  await page.addInitScript(() => {
    const measured = { interactions: [], longTasksMs: [], frameGapsMs: [] };
    window.measured = measured;
    new PerformanceObserver((list) => {
      for (const { name, duration, interactionId } of list.getEntries()) {
        if (interactionId) measured.interactions.push({ name, durationMs: duration });
      }
    }).observe({ type: "event", durationThreshold: 16, buffered: true });
    new PerformanceObserver((list) => {
      for (const { duration } of list.getEntries()) measured.longTasksMs.push(duration);
    }).observe({ type: "longtask", buffered: true });
    let last;
    const tick = (now) => {
      if (last !== undefined) measured.frameGapsMs.push(now - last);
      last = now;
      requestAnimationFrame(tick);
    };
    requestAnimationFrame(tick);
  });
}

/** Returns the measurements since the last call. */
export async function takeMeasurements(page) {
  return page.evaluate(() => {
    const { interactions, longTasksMs, frameGapsMs } = window.measured;
    const taken = {
      interactions: [...interactions],
      longTasksMs: [...longTasksMs],
      frameGapsMs: [...frameGapsMs],
    };
    interactions.length = longTasksMs.length = frameGapsMs.length = 0;
    return taken;
  });
}

export function quantile(numbers, fraction) {
  const sorted = [...numbers].sort((a, b) => a - b);
  if (sorted.length === 0) return 0;
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * fraction))];
}

/** Returns the size of the JavaScript heap after a garbage collection. */
export async function heapBytes(page) {
  const session = await page.context().newCDPSession(page);
  // Several rounds, because objects with finalizers are freed only by a later collection.
  for (let round = 0; round < 3; round += 1) await session.send("HeapProfiler.collectGarbage");
  const { usedSize } = await session.send("Runtime.getHeapUsage");
  await session.detach();
  return usedSize;
}
