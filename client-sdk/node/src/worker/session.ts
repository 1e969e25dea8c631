/**
 * The session's IO: dials, moves frames between the stream and the state, moves to another server
 * when asked. It decides nothing that the state could decide.
 */
import { redialMs, pauseMs, sleep } from "../backoff.js";
import { endsStreams, fromWire, type SentinelError, TransportError } from "../errors.js";
import type { SessionRequest, SessionResponse } from "../gen/sentinel/workers/v1/worker_service_pb.js";
import { Connection } from "./connection.js";
import type { FromSession, Setup, ToSession } from "./messages.js";
import { SessionState } from "./state.js";
import { TUNING } from "./tuning.js";
import { Wire } from "./wire.js";

/** Monotonic: the wall clock may jump. */
const now = () => performance.now();

export class Session {
  readonly #state: SessionState;
  readonly #stop = new AbortController();
  /** Aborted when there is nothing left to stay for while no stream is open. */
  readonly #quit = new AbortController();
  #wire: Wire | undefined;
  #endWire: ((error: SentinelError | undefined) => void) | undefined;
  #timer: NodeJS.Timeout | undefined;
  #failures = 0;
  #nextEndpoint = 0;
  #isMoving = false;
  #starts: Extract<FromSession, { type: "start" }>["starts"][number][] = [];

  constructor(
    private readonly setup: Setup,
    private readonly tell: (message: FromSession, transfer?: ArrayBuffer[]) => void,
  ) {
    this.#state = new SessionState(
      setup,
      {
        start: (no, item, lease) => {
          this.#starts.push({
            no,
            jobId: lease.jobId,
            run: lease.run,
            attempt: lease.attempt,
            epoch: lease.epoch,
            kind: item.kind,
            queue: item.queue,
            // Copies: the originals are views of the whole frame.
            payload: item.payload.slice(),
            contentType: item.contentType,
            checkpoint: item.checkpoint.slice(),
            traceparent: item.traceparent,
            maxAttempts: item.maxAttempts,
            labels: { ...item.labels },
          });
        },
        cancel: (no) => tell({ type: "cancel", no }),
        abandon: (no) => tell({ type: "abandon", no }),
        tookLines: (no) => tell({ type: "tookLines", no }),
        checkpointed: (no, seq, answer) => tell({ type: "checkpointed", no, seq, answer }),
        handed: (no, offset, answer) => tell({ type: "handed", no, offset, answer }),
      },
      now(),
    );
  }

  /** What handlers and the caller say. */
  receive(messages: readonly ToSession[]): void {
    for (const message of messages) {
      switch (message.type) {
        case "finished":
          this.#state.finished(now(), message.no, message.startedAtMs, message.ended);
          break;
        case "progress":
          this.#state.progressed(message.no, message.progress);
          break;
        case "log":
          this.#state.logged(message.no, message.lines);
          break;
        case "checkpoint":
          this.#state.checkpoint(message.no, message.seq, message.data);
          break;
        case "output":
          this.#state.output(message.no, message.offset, message.data);
          break;
        case "drain":
          this.#state.drain.begin(now(), now() + this.setup.drainTimeoutMs);
          break;
        case "stop":
          this.#stop.abort();
          this.#quit.abort();
          break;
      }
    }
    this.#changed();
  }

  /** Until drained or stopped. Fails when a server refuses the first Hello. */
  async run(): Promise<void> {
    try {
      while (!this.#quit.signal.aborted) {
        const error = await this.#once();
        if (error === undefined) return;
        if (endsStreams(error) && !this.#state.wasWelcomed) throw error;
      }
    } finally {
      clearTimeout(this.#timer);
    }
  }

  /** One stream from its dial to its end; the error says why there must be another one. */
  async #once(): Promise<SentinelError | undefined> {
    await sleep(redialMs(TUNING.redial, this.#failures, Math.random()), this.#quit.signal);
    if (this.#quit.signal.aborted) return undefined;
    let openedAtMs: number | undefined;
    try {
      const wire = await this.#open(await Connection.open(this.#endpoint(), this.setup.tls, this.#quit.signal));
      openedAtMs = now();
      const end = await this.#serve(wire);
      if (end === undefined) return undefined;
      throw end;
    } catch (cause) {
      const error = fromWire(cause);
      this.#wire?.cut();
      this.#wire = undefined;
      this.#isMoving = false;
      this.#state.disconnected(now());
      if (this.#stop.signal.aborted) return undefined;
      this.#lost(error, openedAtMs);
      this.#changed();
      return error;
    }
  }

  /** A server that welcomes and then dies, again and again, is not dialled in a loop. */
  #lost(error: SentinelError, openedAtMs: number | undefined): void {
    if (openedAtMs !== undefined && now() - openedAtMs >= TUNING.healthyAfterMs) {
      this.#failures = 0;
    } else {
      this.#failures += 1;
      this.#nextEndpoint += 1;
    }
    // A server that is away for a day must not fill a disk: repeats get rarer.
    const isTold = (this.#failures & (this.#failures - 1)) === 0 || this.#failures % 64 === 0;
    const what = openedAtMs === undefined ? "can not open a session" : "the session lost its stream";
    if (isTold) this.tell({ type: "event", text: `${what}: ${error.message}`, isWarning: true });
  }

  #endpoint(): string {
    const { endpoints } = this.setup;
    return endpoints[this.#nextEndpoint % endpoints.length]!;
  }

  /** Greets on a new connection, which is the session's from its Welcome on. */
  async #open(connection: Connection): Promise<Wire> {
    const next = (): SessionRequest | undefined => (this.#wire === wire ? this.#state.nextFrame(now()) : undefined);
    const wire: Wire = new Wire(connection, this.setup.credential, this.#state.hello(now()), next);
    const abort = () => wire.cut();
    this.#stop.signal.addEventListener("abort", abort, { once: true });
    try {
      const welcome = await wire.welcome();
      this.#state.welcome(now(), welcome);
      this.#wire = wire;
      this.tell({ type: "event", text: `the session is open at ${welcome.server}`, isWarning: false });
      return wire;
    } catch (error) {
      wire.cut();
      throw error;
    } finally {
      this.#stop.signal.removeEventListener("abort", abort);
    }
  }

  /** Until the stream is lost, or all is said. */
  async #serve(wire: Wire): Promise<SentinelError | undefined> {
    const ended = new Promise<SentinelError | undefined>((resolve) => {
      this.#endWire = resolve;
    });
    void this.#read(wire);
    this.#changed();
    const error = await ended;
    if (error === undefined) await this.#wire?.bye("drained");
    return error;
  }

  async #read(wire: Wire): Promise<void> {
    try {
      for (;;) {
        const frame = await wire.read();
        if (frame === undefined) throw new TransportError("the server ended the stream");
        this.#frame(wire, frame);
      }
    } catch (error) {
      // Of a stream that was left, nobody wants to know.
      if (this.#wire === wire) this.#endWire?.(fromWire(error));
    }
  }

  #frame(wire: Wire, response: SessionResponse): void {
    if (this.#wire === wire) {
      this.#state.frame(now(), response);
      this.#flushStarts();
    } else if (response.frame.case === "reportAck") {
      // The stream is being left. What it still assigns was not in the Hello and goes back to
      // its queue unreceived; verdicts count.
      this.#state.reportAck(now(), response.frame.value);
    } else if (response.frame.case === "revoked") {
      this.#state.revoked(now(), response.frame.value);
    }
    this.#changed();
  }

  #flushStarts(): void {
    if (this.#starts.length === 0) return;
    const starts = this.#starts;
    this.#starts = [];
    const buffers = starts.flatMap((start) => [start.payload.buffer, start.checkpoint.buffer]);
    this.tell({ type: "start", starts }, buffers as ArrayBuffer[]);
  }

  /** Something happened: do what is due, end what is over, say what can be said. */
  #changed(): void {
    const nowMs = now();
    this.#state.advance(nowMs);
    if (this.#wire === undefined) {
      if (this.#state.drain.isDone) this.#quit.abort();
    } else if (this.#stop.signal.aborted) {
      this.#endWire?.(new TransportError("stopped"));
    } else if (this.#state.drain.isDone && !this.#isMoving) {
      this.#endWire?.(undefined);
    } else {
      const dead = this.#state.whyDead(nowMs);
      if (dead !== undefined) this.#endWire?.(new TransportError(dead));
      const withinMs = this.#state.takeGoAway();
      if (withinMs !== undefined && !this.#isMoving) void this.#move(this.#wire, withinMs);
      this.#wire.wake();
    }
    this.#arm(nowMs);
  }

  #arm(nowMs: number): void {
    clearTimeout(this.#timer);
    const wakeMs = this.#state.nextWakeMs();
    if (wakeMs === Infinity) return;
    // Rounded up: a timer that fires early would fire again and again.
    const pause = Math.min(Math.max(1, Math.ceil(wakeMs - nowMs)), 60_000);
    this.#timer = setTimeout(() => this.#changed(), pause);
  }

  /** Opens the session on another server at a random moment within the given time, then leaves the old one. */
  async #move(old: Wire, withinMs: number): Promise<void> {
    this.#isMoving = true;
    const isOver = () => this.#wire !== old || this.#stop.signal.aborted;
    this.tell({ type: "event", text: "the server will leave; moving to another one", isWarning: false });
    await sleep((withinMs * Math.random()) / 2, this.#stop.signal);
    let connection: Connection | undefined;
    for (let failures = 0; connection === undefined && !isOver(); failures += 1) {
      this.#nextEndpoint += 1;
      try {
        connection = await Connection.open(this.#endpoint(), this.setup.tls, this.#stop.signal);
      } catch {
        await sleep(pauseMs(TUNING.redial, failures, Math.random()), this.#stop.signal);
      }
    }
    if (connection === undefined || isOver()) {
      connection?.destroy();
      this.#isMoving = this.#wire !== old && this.#isMoving;
      return;
    }
    try {
      // From the Hello on, the old stream only brings verdicts.
      const moved = await this.#leave(old, connection);
      this.#isMoving = false;
      void this.#read(moved);
      void old.bye("moved");
      this.#changed();
    } catch (error) {
      old.cut();
      this.#endWire?.(fromWire(error));
    }
  }

  async #leave(old: Wire, connection: Connection): Promise<Wire> {
    this.#wire = undefined;
    try {
      return await this.#open(connection);
    } catch (error) {
      this.#wire ??= old;
      throw error;
    }
  }
}
