// The tab's side of the shared stream. Browsers without shared workers, and pages whose worker
// does not start, have a stream of their own.
import { ConnectError } from "@connectrpc/connect";
import type { Watch } from "./hub";
import type { Selection, StreamMessage, TabMessage } from "./shared-stream";

/** The part of a SharedWorker that is used here. */
export interface StreamWorker extends Pick<SharedWorker, "onerror"> {
  port: { postMessage(message: TabMessage, ports: MessagePort[]): void };
}

type Step = StreamMessage | { type: "failed" } | { type: "end" };

export class SharedWatch {
  #direct: Watch;
  #connect: () => StreamWorker;
  #worker: StreamWorker | undefined;

  constructor(direct: Watch, connect: () => StreamWorker) {
    this.#direct = direct;
    this.#connect = connect;
  }

  /** The streams of all tabs start over, with the current cookies. */
  reset = (): void => this.#post({ type: "reset" });

  watch: Watch = (request, options) => this.#watch(request, options);

  #post(message: TabMessage, ports: MessagePort[] = []): void {
    this.#worker ??= this.#connect();
    this.#worker.port.postMessage(message, ports);
  }

  async *#watch(...[request, { signal }]: Parameters<Watch>): ReturnType<Watch> {
    const { selector, includeLogs } = request;
    const ids = selector.case === "jobs" ? selector.value.ids : [];
    const { port1: port, port2 } = new MessageChannel();
    const steps: Step[] = [];
    let onStep: () => void = () => undefined;
    const push = (step: Step) => {
      steps.push(step);
      onStep();
    };
    port.onmessage = ({ data }: MessageEvent<StreamMessage>) => push(data);
    const onAbort = () => push({ type: "end" });
    signal.addEventListener("abort", onAbort);
    let hasResponded = false;
    try {
      const selection: Selection = { ids, logs: includeLogs };
      this.#post({ type: "watch", selection }, [port2]);
      if (this.#worker) this.#worker.onerror = () => push({ type: "failed" });
      for (;;) {
        if (signal.aborted) return;
        const step = steps.shift();
        if (step === undefined) {
          await new Promise<void>((resolve) => {
            onStep = resolve;
          });
          continue;
        }
        if (step.type === "end") return;
        if (step.type === "failed") break;
        hasResponded = true;
        if (step.type === "error") throw new ConnectError(step.message, step.code);
        yield* step.responses;
      }
    } finally {
      signal.removeEventListener("abort", onAbort);
      port.postMessage("close");
      port.close();
      // A worker that does not respond may have ended. The next stream starts another.
      if (!hasResponded) this.#worker = undefined;
    }
    yield* this.#direct(request, { signal });
  }
}
