// A child process. Its output goes to a file, and it is killed when the test exits.
import { spawn } from "node:child_process";
import { closeSync, existsSync, openSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { until, within } from "./wait.js";

export const ROOT = resolve(import.meta.dirname, "../../../..");

const running = new Set();
process.on("exit", () => {
  for (const child of running) child.kill("SIGKILL");
});

/** Returns the path of a program of this workspace. */
export function program(name) {
  const path = join(process.env.SENTINEL_TEST_PROGRAMS ?? join(ROOT, "target/debug"), name);
  if (!existsSync(path)) {
    throw new Error(
      `${path} is missing: run cargo build --workspace --bins, or set SENTINEL_TEST_PROGRAMS`,
    );
  }
  return path;
}

/** Returns the environment variables without those of Sentinel, which would change the programs
 * under test. */
function environment(more) {
  const kept = Object.entries(process.env).filter(([name]) => !name.startsWith("SENTINEL_"));
  return { ...Object.fromEntries(kept), ...more };
}

export class Process {
  constructor(command, args, log, env = {}) {
    this.log = log;
    const file = openSync(log, "a");
    this.startOffset = existsSync(log) ? readFileSync(log).length : 0;
    this.child = spawn(command, args, { stdio: ["ignore", file, file], env: environment(env) });
    closeSync(file);
    running.add(this.child);
    this.exited = new Promise((resolve) => {
      this.child.once("exit", (code, signal) => {
        running.delete(this.child);
        resolve(code ?? signal);
      });
      this.child.once("error", resolve);
    });
  }

  /** Returns the output since the process was started. */
  output() {
    return readFileSync(this.log).subarray(this.startOffset).toString();
  }

  /** Waits for output that matches a pattern, and returns the match. */
  async line(pattern) {
    return until(`${pattern} in ${this.log}`, () => {
      const match = this.output().match(pattern);
      if (!match && this.child.exitCode !== null) {
        throw new Error(
          `${this.child.spawnfile} exited with ${this.child.exitCode}: ${this.output()}`,
        );
      }
      return match;
    });
  }

  async stop(signal = "SIGTERM") {
    this.child.kill(signal);
    return within(`${this.child.spawnfile} exits after ${signal}`, this.exited);
  }

  async kill() {
    return this.stop("SIGKILL");
  }
}
