// Chromium of the machine, driven from here.
import { mkdirSync } from "node:fs";
import { chromium } from "playwright-core";
import { PATIENCE_MS } from "./wait.js";

const FLAGS = [
  "--headless",
  "--no-sandbox",
  "--disable-gpu",
  "--no-first-run",
  "--disable-background-networking",
];

export async function startBrowser() {
  return chromium.launch({
    executablePath: process.env.SENTINEL_TEST_CHROMIUM ?? "/usr/bin/chromium",
    args: FLAGS,
  });
}

/**
 * A fresh page that starts at `url`. What it logs as an error, throws or is refused by its own
 * policy is kept in `page.problems`.
 */
export async function openPage(browser, url, options = {}) {
  const context = await browser.newContext({ locale: "en-GB", ...options });
  context.setDefaultTimeout(PATIENCE_MS);
  const page = await context.newPage();
  page.problems = [];
  page.on("pageerror", (error) => page.problems.push(String(error)));
  page.on("console", (message) => {
    if (message.type() === "error") page.problems.push(message.text());
  });
  if (url) await page.goto(url);
  return page;
}

export function folder(path) {
  mkdirSync(path, { recursive: true });
  return path;
}
