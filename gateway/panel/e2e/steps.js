// What a person does in the panel, by the roles and names that a screen reader says.
import { until } from "../../tests/web/harness/wait.js";

/** The names of the panel in English. */
export const NAMES = {
  key: /^key$/i,
  signIn: /^sign in$/i,
  signOut: /^sign out$/i,
  newJob: /^new job$/i,
  queue: /^queue$/i,
  kind: /^kind$/i,
  payload: /^payload/i,
  enqueue: /^enqueue$/i,
  cancel: /^cancel$/i,
  retry: /^retry$/i,
};

export async function signIn(page, key) {
  await page.getByLabel(NAMES.key).fill(key);
  await page.getByRole("button", { name: NAMES.signIn }).click();
}

/** By the navigation, without a load of the page. */
export async function goTo(page, name) {
  await page.getByRole("navigation").getByRole("link", { name }).first().click();
}

/** Fills the form of a new job in and sends it. */
export async function enqueueByForm(page, { queue, kind, payload }) {
  await goTo(page, NAMES.newJob);
  await page.getByLabel(NAMES.queue).fill(queue);
  await page.getByLabel(NAMES.kind).fill(kind);
  await page.getByLabel(NAMES.payload).fill(JSON.stringify(payload));
  await page.getByRole("button", { name: NAMES.enqueue }).click();
}

/** How far a bar is, 0 to 1; undefined where it does not know. */
export async function position(bar) {
  const now = Number(await bar.getAttribute("aria-valuenow"));
  const max = Number((await bar.getAttribute("aria-valuemax")) ?? 100);
  if (await bar.getAttribute("aria-valuenow")) return now / max;
  return bar.evaluate((bar) => (bar.position >= 0 ? bar.position : undefined));
}

/** Waits until a bar was seen at several positions, each beyond the one before. */
export async function moves(bar, times = 3) {
  const seen = [];
  await until(`the bar moves ${times} times`, async () => {
    const now = await position(bar);
    if (now !== undefined && now > (seen.at(-1) ?? -1)) seen.push(now);
    return seen.length >= times;
  });
  return seen;
}

/** Marks the page, so that a reload is seen. */
export async function mark(page) {
  await page.evaluate(() => (window.isTheSamePage = true));
}

export async function isMarked(page) {
  return page.evaluate(() => window.isTheSamePage === true);
}
