// Loads the page again, but only while the server responds: otherwise the browser would replace
// the panel with its own error page.

/** Returns whether the server that serves the panel responds. */
export async function isServerReachable(): Promise<boolean> {
  try {
    const { ok } = await fetch("/", { cache: "no-store" });
    return ok;
  } catch {
    return false;
  }
}

/** Returns false when the page was not loaded again. */
export async function reloadPage(): Promise<boolean> {
  const isReachable = await isServerReachable();
  if (isReachable) window.location.reload();
  return isReachable;
}

const STORAGE_KEY = "sentinel.reloaded-at";
const INTERVAL_MIN_MS = 60_000;

/** Loads the page again without a question, at most once a minute, so that it cannot do so
 * for ever. Returns whether it does. */
export function reloadOnce(): boolean {
  const last = Number(sessionStorage.getItem(STORAGE_KEY) ?? 0);
  if (Date.now() - last < INTERVAL_MIN_MS) return false;
  sessionStorage.setItem(STORAGE_KEY, String(Date.now()));
  window.location.reload();
  return true;
}
