// Starts Chromium and opens pages in it.
import { mkdirSync } from "node:fs";
import { chromium } from "playwright-core";
import { TIMEOUT_MS } from "./wait.js";

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
 * Opens a page in a new browser context. Errors that the page logs or throws, including violations
 * of its content security policy, are collected in `page.problems`.
 */
export async function openPage(browser, url, options = {}) {
  const context = await browser.newContext({ locale: "en-GB", ...options });
  context.setDefaultTimeout(TIMEOUT_MS);
  const page = await context.newPage();
  page.problems = [];
  page.on("pageerror", (error) => page.problems.push(String(error)));
  page.on("console", (message) => {
    if (message.type() === "error") page.problems.push(message.text());
  });
  if (url) await page.goto(url);
  return page;
}

/** Creates a directory and returns its path. */
export function folder(path) {
  mkdirSync(path, { recursive: true });
  return path;
}
