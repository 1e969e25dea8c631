// A test environment on this machine: server, workers, gateway and Envoy as processes on free
// ports, with one temporary directory.
import { execFile } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { Process, program } from "./process.js";
import { until } from "./wait.js";

const LOOPBACK = "127.0.0.1";
const FREE_PORT = `${LOOPBACK}:0`;

export class TestEnvironment {
  #dir = mkdtempSync(join(tmpdir(), "sentinel-web-"));
  #cleanups = [];

  constructor() {
    // Covers a test file that exits before it calls stop().
    process.on("exit", () => rmSync(this.#dir, { recursive: true, force: true }));
  }

  /** Starts a server, and a gateway in front of it. */
  static async start({ server = [], gateway = [] } = {}) {
    const env = new TestEnvironment();
    await env.startServer(["--auto-create-queues", "--color", "never", ...server]);
    await env.startGateway(gateway);
    return env;
  }

  path(name) {
    return join(this.#dir, name);
  }

  /** Adds a function that stop() calls. The functions run in reverse order. */
  onStop(cleanup) {
    this.#cleanups.push(cleanup);
  }

  async startServer(flags = this.serverFlags) {
    this.serverFlags = flags;
    const own = ["serve", "--data-dir", this.path("data"), "--log-format", "json"];
    const ports = [
      "--listen",
      this.address ?? FREE_PORT,
      "--ops-listen",
      this.serverOps ?? FREE_PORT,
    ];
    this.server = new Process(
      program("sentinel"),
      [...own, ...ports, ...flags],
      this.path("server.log"),
    );
    this.onStop(() => this.server.kill());
    [this.address, this.serverOps] = await serving(this.server);
  }

  /** Starts the gateway. After a restart it has the same address. */
  async startGateway(flags = this.gatewayFlags) {
    this.gatewayFlags = flags;
    const ports = [
      "--listen",
      this.gatewayAddress ?? FREE_PORT,
      "--ops-listen",
      this.gatewayOps ?? FREE_PORT,
    ];
    const own = ["--server", `http://${this.address}`, "--log-format", "json"];
    const args = [...own, ...ports, ...flags];
    this.gateway = new Process(program("sentinel-gateway"), args, this.path("gateway.log"));
    this.onStop(() => this.gateway.kill());
    [this.gatewayAddress, this.gatewayOps] = await serving(this.gateway);
  }

  /** The URL of the gateway. */
  get url() {
    return `http://${this.gatewayAddress}`;
  }

  /** Starts a worker named `web` for the queue `default`, and waits until it is connected. */
  async startWorker(flags = [], env = {}) {
    const instance = flags.includes("--instance") ? [] : ["--instance", "web"];
    const args = ["--server", `http://${this.address}`, "--json", ...instance, ...flags];
    const worker = new Process(program("sentinel-worker"), args, this.path("worker.log"), env);
    this.onStop(() => worker.kill());
    await this.server.line(/worker stream opened/);
    return worker;
  }

  /** Runs a command of sentinel and returns its standard output. */
  async cli(args, env = {}) {
    const run = promisify(execFile);
    const { stdout } = await run(program("sentinel"), args, {
      env: { ...process.env, SENTINEL_SERVER: `http://${this.address}`, ...env },
    });
    return stdout;
  }

  /** Creates an API key directly in the ledger. The server accepts it a little later. */
  async key(name, role, more = []) {
    const args = ["key", "create", "--name", name, "--role", role, "--data-dir", this.path("data")];
    const output = await this.cli([...args, "--json", ...more]);
    return JSON.parse(output);
  }

  /** Returns the value of a metric, or 0 when it does not exist. */
  async metric(ops, name) {
    const text = await (await fetch(`http://${ops}/metrics`)).text();
    const line = text.split("\n").find((line) => line.startsWith(name) && !line.startsWith("#"));
    return line ? Number(line.split(" ").at(-1)) : 0;
  }

  /** Waits until the server has a number of open watch streams. */
  async watchers(count) {
    return until(`the server has ${count} watch streams`, async () => {
      const open = await this.metric(this.serverOps, "sentinel_watch_streams");
      return open === count;
    });
  }

  /** Starts Envoy. `configure` returns the configuration for the port to listen on. Returns the URL. */
  async startEnvoy(configure) {
    const port = await freePort();
    const file = this.path(`envoy-${port}.json`);
    writeFileSync(file, JSON.stringify(configure(port)));
    const envoy = process.env.SENTINEL_TEST_ENVOY ?? "envoy";
    const args = [
      "-c",
      file,
      "--disable-hot-restart",
      "--concurrency",
      "1",
      "--log-level",
      "warning",
    ];
    const running = new Process(envoy, args, this.path(`envoy-${port}.log`));
    this.onStop(() => running.kill());
    const url = `http://${LOOPBACK}:${port}`;
    await until("Envoy responds", async () => {
      if (running.child.exitCode !== null) throw new Error(running.output());
      await fetch(url);
      return true;
    });
    return url;
  }

  async stop() {
    for (const cleanup of this.#cleanups.reverse()) await cleanup();
  }
}

/** Returns the addresses that a process logs when it is ready. */
async function serving(process) {
  const [line] = await process.line(/^\{.*"serving".*\}$/m);
  const { address, ops_address } = JSON.parse(line);
  return [address, ops_address];
}

/** Returns a port that is currently free, for programs that cannot listen on port 0. */
export async function freePort() {
  const server = createServer();
  await new Promise((resolve) => server.listen(0, LOOPBACK, resolve));
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return port;
}
