// Waits on conditions, never for a time to pass.

/** Longer than anything takes on a loaded machine, shorter than the patience of a runner. */
export const PATIENCE_MS = 30_000;

/** Between two looks at a condition that nobody tells of. */
const LOOK_MS = 20;

/** Looks until `probe` gives something; fails with what it was that did not come. */
export async function until(what, probe, patienceMs = PATIENCE_MS) {
  const deadline = Date.now() + patienceMs;
  let problem;
  while (Date.now() < deadline) {
    try {
      const seen = await probe();
      if (seen) return seen;
      problem = undefined;
    } catch (error) {
      problem = error;
    }
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
  }
  throw new Error(`not within ${patienceMs} ms: ${what}`, { cause: problem });
}

/** What a promise gives, or a failure that names it. */
export async function within(what, promise, patienceMs = PATIENCE_MS) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`not within ${patienceMs} ms: ${what}`)), patienceMs);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
