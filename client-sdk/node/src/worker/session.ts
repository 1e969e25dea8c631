/**
 * The I/O of a session: connects, transfers frames between the stream and the session state, and switches
 * to another server on GoAway. All decisions are in `SessionState`.
 */
import { backoffDelayMs, reconnectDelayMs, sleep } from "../backoff.js";
import { schemeMismatch } from "../diagnose.js";
import { closesStreams, type SentinelError, TransportError } from "../errors.js";
import type { SessionRequest, SessionResponse } from "../gen/sentinel/workers/v1/worker_service_pb.js";
import { fromGrpcError } from "../grpc-error.js";
import { Connection } from "./connection.js";
import { TIMINGS } from "./constants.js";
import { SessionState } from "./session-state.js";
import { SessionStream } from "./session-stream.js";
import type { FromSession, SessionConfig, StartAttempt, ToSession } from "./thread-messages.js";

/** Monotonic time, since the wall clock may jump. */
const now = () => performance.now();

export class Session {
  readonly #state: SessionState;
  readonly #stop = new AbortController();
  /** Aborted when the worker should exit while no stream is open. */
  readonly #exit = new AbortController();
  #stream: SessionStream | undefined;
  #endStream: ((error: SentinelError | undefined) => void) | undefined;
  #timer: NodeJS.Timeout | undefined;
  /** Streams that failed or were short-lived, in a row. */
  #failures = 0;
  #nextEndpoint = 0;
  #isSwitching = false;
  #attemptsToStart: StartAttempt[] = [];

  constructor(
    private readonly config: SessionConfig,
    private readonly send: (message: FromSession, transfer?: ArrayBuffer[]) => void,
  ) {
    this.#state = new SessionState(
      config,
      {
        start: (localId, item, lease) => {
          this.#attemptsToStart.push({
            localId,
            jobId: lease.jobId,
            run: lease.run,
            attempt: lease.attempt,
            epoch: lease.epoch,
            kind: item.kind,
            queue: item.queue,
            // Copied, because the original arrays are views of the whole frame.
            payload: item.payload.slice(),
            contentType: item.contentType,
            checkpoint: item.checkpoint.slice(),
            traceparent: item.traceparent,
            maxAttempts: item.maxAttempts,
            labels: { ...item.labels },
          });
        },
        cancel: (localId) => send({ type: "cancel", localId }),
        abandon: (localId) => send({ type: "abandon", localId }),
        linesAccepted: (localId) => send({ type: "linesAccepted", localId }),
        checkpointResult: (localId, seq, result) => send({ type: "checkpointResult", localId, seq, result }),
        outputResult: (localId, offset, result) => send({ type: "outputResult", localId, offset, result }),
      },
      now(),
    );
  }

  /** Handles messages of the caller's thread. */
  receive(messages: readonly ToSession[]): void {
    for (const message of messages) {
      switch (message.type) {
        case "started":
          this.#state.handlerStarted(now(), message.localId);
          break;
        case "finished":
          this.#state.handlerFinished(now(), message.localId, message.startedAtMs, message.outcome);
          break;
        case "progress":
          this.#state.progress(message.localId, message.progress);
          break;
        case "log":
          this.#state.log(message.localId, message.entries);
          break;
        case "checkpoint":
          this.#state.checkpoint(message.localId, message.seq, message.data);
          break;
        case "output":
          this.#state.output(message.localId, message.offset, message.data);
          break;
        case "drain":
          this.#state.drain.begin(now(), now() + this.config.drainTimeoutMs);
          break;
        case "stop":
          this.#stop.abort();
          this.#exit.abort();
          break;
      }
    }
    this.#stateChanged();
  }

  /** Runs until the drain is complete or the worker is stopped. Throws when a server rejects the first Hello. */
  async run(): Promise<void> {
    try {
      while (!this.#exit.signal.aborted) {
        const error = await this.#runStream();
        if (error === undefined) return;
        if (closesStreams(error) && !this.#state.wasWelcomed) throw error;
      }
    } finally {
      clearTimeout(this.#timer);
    }
  }

  /** Connects and serves one stream. Returns the error after which to reconnect, or `undefined` to exit. */
  async #runStream(): Promise<SentinelError | undefined> {
    await sleep(reconnectDelayMs(TIMINGS.reconnect, this.#failures, Math.random()), this.#exit.signal);
    if (this.#exit.signal.aborted) return undefined;
    let openedAtMs: number | undefined;
    const url = this.#endpoint();
    try {
      const connection = await Connection.open(url, this.config.tls, this.#exit.signal);
      const stream = await this.#open(connection);
      openedAtMs = now();
      const error = await this.#serve(stream);
      if (error === undefined) return undefined;
      throw error;
    } catch (cause) {
      const error = await this.#explain(url, fromGrpcError(cause));
      this.#stream?.close();
      this.#stream = undefined;
      this.#isSwitching = false;
      this.#state.disconnected(now());
      if (this.#stop.signal.aborted) return undefined;
      this.#recordFailure(error, openedAtMs);
      this.#stateChanged();
      return error;
    }
  }

  /** A better error if a session never opened because the scheme of the endpoint is wrong. */
  async #explain(url: string, error: SentinelError): Promise<SentinelError> {
    if (this.#state.wasWelcomed || !(error instanceof TransportError) || this.#failures > 1) return error;
    const reason = await schemeMismatch(url, this.config.tls);
    return reason === undefined ? error : new TransportError(reason);
  }

  /** A short-lived stream counts as a failure, so that the reconnects back off. */
  #recordFailure(error: SentinelError, openedAtMs: number | undefined): void {
    if (openedAtMs !== undefined && now() - openedAtMs >= TIMINGS.healthyAfterMs) {
      this.#failures = 0;
    } else {
      this.#failures += 1;
      this.#nextEndpoint += 1;
    }
    // Logged at a decreasing rate, so that a long outage does not fill the disk.
    const isLogged = (this.#failures & (this.#failures - 1)) === 0 || this.#failures % 64 === 0;
    const event = openedAtMs === undefined ? "cannot open a session" : "session stream lost, reconnecting";
    const message = `${event}: ${error.message}`;
    if (isLogged) this.send({ type: "log", level: "warn", message });
    this.send({ type: "disconnected", message });
  }

  #endpoint(): string {
    const { endpoints } = this.config;
    return endpoints[this.#nextEndpoint % endpoints.length]!;
  }

  /** Sends Hello on a new connection. Its stream becomes the current one when Welcome arrives. */
  async #open(connection: Connection): Promise<SessionStream> {
    const nextFrame = (): SessionRequest | undefined =>
      this.#stream === stream ? this.#state.nextFrame(now()) : undefined;
    const hello = this.#state.hello(now());
    const stream: SessionStream = new SessionStream(connection, this.config.credential, hello, nextFrame);
    const abort = () => stream.close();
    this.#stop.signal.addEventListener("abort", abort, { once: true });
    try {
      const welcome = await stream.welcome();
      this.#state.welcome(now(), welcome);
      this.#stream = stream;
      this.send({ type: "log", level: "info", message: `session opened: ${welcome.server}` });
      this.send({ type: "connected", server: welcome.server, endpoint: connection.authority });
      return stream;
    } catch (error) {
      stream.close();
      throw error;
    } finally {
      this.#stop.signal.removeEventListener("abort", abort);
    }
  }

  /** Returns the error of a lost stream, or `undefined` after the drain is complete. */
  async #serve(stream: SessionStream): Promise<SentinelError | undefined> {
    const ended = new Promise<SentinelError | undefined>((resolve) => {
      this.#endStream = resolve;
    });
    void this.#readFrames(stream);
    this.#stateChanged();
    const error = await ended;
    if (error === undefined) await this.#stream?.bye("drained");
    return error;
  }

  async #readFrames(stream: SessionStream): Promise<void> {
    try {
      for (;;) {
        const frame = await stream.read();
        if (frame === undefined) throw new TransportError("the server closed the stream");
        this.#handleFrame(stream, frame);
      }
    } catch (error) {
      // The error of a stream that was replaced is irrelevant.
      if (this.#stream === stream) this.#endStream?.(fromGrpcError(error));
    }
  }

  #handleFrame(stream: SessionStream, response: SessionResponse): void {
    if (this.#stream === stream) {
      this.#state.frame(now(), response);
      this.#startAttempts();
    } else if (response.frame.case === "reportAck") {
      // The stream is being replaced. Only its verdicts are applied: jobs that it still assigns are not
      // listed in Hello and go back to their queue.
      this.#state.reportAck(now(), response.frame.value);
    } else if (response.frame.case === "revoked") {
      this.#state.revoked(now(), response.frame.value);
    }
    this.#stateChanged();
  }

  #startAttempts(): void {
    if (this.#attemptsToStart.length === 0) return;
    const attempts = this.#attemptsToStart;
    this.#attemptsToStart = [];
    const buffers = attempts.flatMap((attempt) => [attempt.payload.buffer, attempt.checkpoint.buffer]);
    this.send({ type: "start", attempts }, buffers as ArrayBuffer[]);
  }

  /** Handles due timers, ends a dead or drained stream, and sends due frames. */
  #stateChanged(): void {
    const nowMs = now();
    this.#state.advance(nowMs);
    if (this.#stream === undefined) {
      if (this.#state.drain.isComplete) this.#exit.abort();
    } else if (this.#stop.signal.aborted) {
      this.#endStream?.(new TransportError("stopped"));
    } else if (this.#state.drain.isComplete && !this.#isSwitching) {
      this.#endStream?.(undefined);
    } else {
      const deadReason = this.#state.deadReason(nowMs);
      if (deadReason !== undefined) this.#endStream?.(new TransportError(deadReason));
      const withinMs = this.#state.takeGoAway();
      if (withinMs !== undefined && !this.#isSwitching) void this.#switchServer(this.#stream, withinMs);
      this.#stream.wake();
    }
    this.#setTimer(nowMs);
  }

  #setTimer(nowMs: number): void {
    clearTimeout(this.#timer);
    const wakeMs = this.#state.nextWakeMs();
    if (wakeMs === Infinity) return;
    // Rounded up: a timer that fires too early would be set again and again.
    const delayMs = Math.min(Math.max(1, Math.ceil(wakeMs - nowMs)), 60_000);
    this.#timer = setTimeout(() => this.#stateChanged(), delayMs);
  }

  /** Opens the session on another server after a random delay within `withinMs`, then closes the old stream. */
  async #switchServer(old: SessionStream, withinMs: number): Promise<void> {
    this.#isSwitching = true;
    const isObsolete = () => this.#stream !== old || this.#stop.signal.aborted;
    this.send({ type: "log", level: "info", message: "server is shutting down, moving to another one" });
    await sleep((withinMs * Math.random()) / 2, this.#stop.signal);
    let connection: Connection | undefined;
    for (let failures = 0; connection === undefined && !isObsolete(); failures += 1) {
      this.#nextEndpoint += 1;
      try {
        connection = await Connection.open(this.#endpoint(), this.config.tls, this.#stop.signal);
      } catch {
        await sleep(backoffDelayMs(TIMINGS.reconnect, failures, Math.random()), this.#stop.signal);
      }
    }
    if (connection === undefined || isObsolete()) {
      connection?.destroy();
      this.#isSwitching = this.#stream !== old && this.#isSwitching;
      return;
    }
    try {
      const stream = await this.#replaceStream(old, connection);
      this.#isSwitching = false;
      void this.#readFrames(stream);
      void old.bye("moved");
      this.#stateChanged();
    } catch (error) {
      old.close();
      this.#endStream?.(fromGrpcError(error));
    }
  }

  /** Once Hello is sent on the new connection, only verdicts of the old stream are applied. */
  async #replaceStream(old: SessionStream, connection: Connection): Promise<SessionStream> {
    this.#stream = undefined;
    try {
      return await this.#open(connection);
    } catch (error) {
      this.#stream ??= old;
      throw error;
    }
  }
}
