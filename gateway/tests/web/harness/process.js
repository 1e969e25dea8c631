// One child process: what it says goes into a file, and it never outlives the test.
import { spawn } from "node:child_process";
import { closeSync, existsSync, openSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { until, within } from "./wait.js";

export const ROOT = resolve(import.meta.dirname, "../../../..");

const alive = new Set();
process.on("exit", () => alive.forEach((child) => child.kill("SIGKILL")));

/** The path of a program of this workspace. */
export function program(name) {
  const path = join(process.env.SENTINEL_TEST_PROGRAMS ?? join(ROOT, "target/debug"), name);
  if (!existsSync(path)) {
    throw new Error(
      `${path} is missing: run cargo build --workspace --bins, or set SENTINEL_TEST_PROGRAMS`,
    );
  }
  return path;
}

/** An environment without what would change the programs under test. */
function environment(more) {
  const kept = Object.entries(process.env).filter(([name]) => !name.startsWith("SENTINEL_"));
  return { ...Object.fromEntries(kept), ...more };
}

export class Process {
  constructor(command, args, log, env = {}) {
    this.log = log;
    const file = openSync(log, "a");
    this.from = existsSync(log) ? readFileSync(log).length : 0;
    this.child = spawn(command, args, { stdio: ["ignore", file, file], env: environment(env) });
    closeSync(file);
    alive.add(this.child);
    this.ended = new Promise((resolve) => {
      this.child.once("exit", (code, signal) => {
        alive.delete(this.child);
        resolve(code ?? signal);
      });
      this.child.once("error", resolve);
    });
  }

  /** What it said since it was started. */
  said() {
    return readFileSync(this.log).subarray(this.from).toString();
  }

  /** The first line that matches, once it was said. */
  async line(pattern) {
    return until(`${pattern} in ${this.log}`, () => {
      const match = this.said().match(pattern);
      if (!match && this.child.exitCode !== null) {
        throw new Error(
          `${this.child.spawnfile} ended with ${this.child.exitCode}: ${this.said()}`,
        );
      }
      return match;
    });
  }

  async stop(signal = "SIGTERM") {
    this.child.kill(signal);
    return within(`${this.child.spawnfile} ends by ${signal}`, this.ended);
  }

  async kill() {
    return this.stop("SIGKILL");
  }
}
