// An installation on this machine: server, workers, gateway and Envoy as processes on free ports
// and in one temporary folder.
import { execFile } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { Process, program } from "./process.js";
import { until } from "./wait.js";

const LOOPBACK = "127.0.0.1";
const ANY = `${LOOPBACK}:0`;

export class World {
  #dir = mkdtempSync(join(tmpdir(), "sentinel-web-"));
  #stops = [];

  constructor() {
    // Also where a test file ends before it stops its world.
    process.on("exit", () => rmSync(this.#dir, { recursive: true, force: true }));
  }

  /** A server and a gateway before it. */
  static async start({ server = [], gateway = [] } = {}) {
    const world = new World();
    await world.startServer(["--auto-create-queues", "--color", "never", ...server]);
    await world.startGateway(gateway);
    return world;
  }

  path(name) {
    return join(this.#dir, name);
  }

  /** The last one started is stopped first. */
  onEnd(stop) {
    this.#stops.push(stop);
  }

  async startServer(flags = this.serverFlags) {
    this.serverFlags = flags;
    const own = ["serve", "--data-dir", this.path("data"), "--log-format", "json"];
    const ports = ["--listen", this.address ?? ANY, "--ops-listen", this.serverOps ?? ANY];
    this.server = new Process(
      program("sentinel"),
      [...own, ...ports, ...flags],
      this.path("server.log"),
    );
    this.onEnd(() => this.server.kill());
    [this.address, this.serverOps] = await serving(this.server);
  }

  /** A gateway; after a restart at the same address. */
  async startGateway(flags = this.gatewayFlags) {
    this.gatewayFlags = flags;
    const ports = ["--listen", this.gatewayAddress ?? ANY, "--ops-listen", this.gatewayOps ?? ANY];
    const own = ["--server", `http://${this.address}`, "--log-format", "json"];
    const args = [...own, ...ports, ...flags];
    this.gateway = new Process(program("sentinel-gateway"), args, this.path("gateway.log"));
    this.onEnd(() => this.gateway.kill());
    [this.gatewayAddress, this.gatewayOps] = await serving(this.gateway);
  }

  /** Where browsers go. */
  get url() {
    return `http://${this.gatewayAddress}`;
  }

  /** A worker for the queue `default` that is called `web`, once its session has begun. */
  async startWorker(flags = [], env = {}) {
    const name = flags.includes("--instance") ? [] : ["--instance", "web"];
    const args = ["--server", `http://${this.address}`, "--json", ...name, ...flags];
    const worker = new Process(program("sentinel-worker"), args, this.path("worker.log"), env);
    this.onEnd(() => worker.kill());
    await this.server.line(/a worker session began/);
    return worker;
  }

  /** What the command line prints. */
  async cli(args, env = {}) {
    const run = promisify(execFile);
    const { stdout } = await run(program("sentinel"), args, {
      env: { ...process.env, SENTINEL_SERVER: `http://${this.address}`, ...env },
    });
    return stdout;
  }

  /** A key made beside the data, which the server knows soon after. */
  async key(name, role, more = []) {
    const args = ["key", "create", "--name", name, "--role", role, "--data-dir", this.path("data")];
    const said = await this.cli([...args, "--json", ...more]);
    return JSON.parse(said);
  }

  /** The value of a figure; 0 where it is not there. */
  async figure(ops, name) {
    const text = await (await fetch(`http://${ops}/metrics`)).text();
    const line = text.split("\n").find((line) => line.startsWith(name) && !line.startsWith("#"));
    return line ? Number(line.split(" ").at(-1)) : 0;
  }

  /** Waits until the server has that many watchers. */
  async watchers(count) {
    return until(`the server has ${count} watchers`, async () => {
      const open = await this.figure(this.serverOps, "sentinel_watch_streams");
      return open === count;
    });
  }

  /** Envoy with a configuration that is given the port to listen on. */
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
    this.onEnd(() => running.kill());
    const url = `http://${LOOPBACK}:${port}`;
    await until("Envoy answers", async () => {
      if (running.child.exitCode !== null) throw new Error(running.said());
      await fetch(url);
      return true;
    });
    return url;
  }

  async stop() {
    for (const stop of this.#stops.reverse()) await stop();
  }
}

/** Where a process says that it serves. */
async function serving(process) {
  const [line] = await process.line(/^\{.*"serving".*\}$/m);
  const { address, ops_address } = JSON.parse(line);
  return [address, ops_address];
}

/** A port that was free a moment ago, for a program that can not choose one itself. */
export async function freePort() {
  const server = createServer();
  await new Promise((resolve) => server.listen(0, LOOPBACK, resolve));
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return port;
}
