// Steps that the tests share. Elements are found by role and name, as a screen reader announces
// them.
import { until } from "../../tests/web/harness/wait.js";

/** Names of elements in English. */
export const NAMES = {
  key: /^api key$/i,
  signIn: /^sign in$/i,
  signOut: /^sign out$/i,
  newJob: /^new job$/i,
  queue: /^queue$/i,
  kind: /^kind$/i,
  payload: /^payload$/i,
  enqueue: /^enqueue$/i,
  cancel: /^cancel$/i,
  retry: /^retry$/i,
};

export async function signIn(page, key) {
  await page.getByLabel(NAMES.key).fill(key);
  await page.getByRole("button", { name: NAMES.signIn }).click();
}

/** Opens a screen by the navigation, without loading the page again. */
export async function goTo(page, name) {
  await page.getByRole("navigation").getByRole("link", { name }).first().click();
}

/** Answers the open question of an action with yes. */
export async function confirm(page, name) {
  await page.getByRole("dialog").getByRole("button", { name }).click();
  await page.getByRole("dialog").waitFor({ state: "detached" });
}

/** Enqueues a job with the form. */
export async function enqueueByForm(page, { queue, kind, payload }) {
  await goTo(page, NAMES.newJob);
  await page.getByLabel(NAMES.queue).fill(queue);
  await page.getByLabel(NAMES.kind).fill(kind);
  await page.getByLabel(NAMES.payload).fill(JSON.stringify(payload));
  await page.getByRole("button", { name: NAMES.enqueue }).click();
}

/** Returns the position of a progress bar from 0 to 1, or undefined when it is indeterminate. */
async function position(bar) {
  const now = Number(await bar.getAttribute("aria-valuenow"));
  const max = Number((await bar.getAttribute("aria-valuemax")) ?? 100);
  if (await bar.getAttribute("aria-valuenow")) return now / max;
  return bar.evaluate(({ position }) => (position >= 0 ? position : undefined));
}

/** Waits until a progress bar has had several increasing positions, and returns them. */
export async function increasingPositions(bar, count = 3) {
  const positions = [];
  await until(`the bar moves ${count} times`, async () => {
    const now = await position(bar);
    if (now !== undefined && now > (positions.at(-1) ?? -1)) positions.push(now);
    return positions.length >= count;
  });
  return positions;
}

/** Marks the page. A reload removes the mark. */
export async function mark(page) {
  await page.evaluate(() => {
    window.isMarked = true;
  });
}

export async function isMarked(page) {
  return page.evaluate(() => window.isMarked === true);
}
