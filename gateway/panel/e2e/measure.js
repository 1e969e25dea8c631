// What a person would feel of a page: how soon it answers, how evenly it moves, what it keeps.

/** Must be called before the page is opened. */
export async function observe(page) {
  await page.addInitScript(() => {
    const felt = { interactions: [], longTasksMs: [], frameGapsMs: [] };
    window.felt = felt;
    new PerformanceObserver((list) => {
      for (const { name, duration, interactionId } of list.getEntries()) {
        if (interactionId) felt.interactions.push({ name, durationMs: duration });
      }
    }).observe({ type: "event", durationThreshold: 16, buffered: true });
    new PerformanceObserver((list) => {
      for (const { duration } of list.getEntries()) felt.longTasksMs.push(duration);
    }).observe({ type: "longtask", buffered: true });
    let last;
    const tick = (now) => {
      if (last !== undefined) felt.frameGapsMs.push(now - last);
      last = now;
      requestAnimationFrame(tick);
    };
    requestAnimationFrame(tick);
  });
}

/** What was felt since the last look. */
export async function felt(page) {
  return page.evaluate(() => {
    const { interactions, longTasksMs, frameGapsMs } = window.felt;
    const taken = {
      interactions: [...interactions],
      longTasksMs: [...longTasksMs],
      frameGapsMs: [...frameGapsMs],
    };
    interactions.length = longTasksMs.length = frameGapsMs.length = 0;
    return taken;
  });
}

/** The value that this share of the numbers is not above. */
export function quantile(numbers, share) {
  const sorted = [...numbers].sort((a, b) => a - b);
  return sorted.length ? sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] : 0;
}

/** Bytes of JavaScript that are in use after all that is not was collected. */
export async function heapBytes(page) {
  const session = await page.context().newCDPSession(page);
  // What was released by the first may itself have held something.
  for (let round = 0; round < 3; round += 1) await session.send("HeapProfiler.collectGarbage");
  const { usedSize } = await session.send("Runtime.getHeapUsage");
  await session.detach();
  return usedSize;
}
