// One Watch stream for the whole tab. Whatever is on the screen says what it wants to see; the hub
// keeps a single stream for all of it, resumes it where it broke, and tells the screen at most
// once a frame.
import { create } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import type { Job, LogLine } from "../gen/sentinel/jobs/v1/job_pb";
import {
  type WatchRequest,
  WatchRequestSchema,
  type WatchResponse,
  type WatchSummary,
} from "../gen/sentinel/jobs/v1/job_service_pb";
import { isFinal } from "../ui/states";
import { Interests, type Wish } from "./interests";

/** How the stream is; `lost` holds since when and why. */
export type Line =
  | { is: "connecting" }
  | { is: "live" }
  | { is: "lost"; since: number; error: ConnectError }
  | { is: "closed" };

export type Watch = (
  request: WatchRequest,
  options: { signal: AbortSignal },
) => AsyncIterable<WatchResponse>;

/** No server has, or shows this key, any of the jobs; the line itself is well. */
const OF_THE_JOBS: ReadonlySet<Code> = new Set([Code.NotFound, Code.PermissionDenied]);

/** What the hub needs of its surroundings; tests turn these themselves. */
export interface Surroundings {
  after(ms: number, run: () => void): () => void;
  frame(run: () => void): void;
  random(): number;
  now(): number;
}

export const browser: Surroundings = {
  after(ms, run) {
    const timer = setTimeout(run, ms);
    return () => clearTimeout(timer);
  },
  frame: (run) => void requestAnimationFrame(run),
  random: Math.random,
  now: Date.now,
};

/** A screen that changes asks for several things in a row: they become one stream. */
const GATHER_MS = 40;
const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 10_000;
/** Jobs that nobody looks at any more are kept up to this number. */
const JOBS_MAX = 5_000;
/** A summary comes every second; a line that says nothing for so long is lost. */
const SILENCE_MS = 15_000;

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

type LogListener = (id: string, lines: readonly LogLine[]) => void;

export class LiveHub {
  #watch: Watch;
  #around: Surroundings;
  #interests = new Interests();
  #jobs = new Map<string, Job>();
  #unknown = new Set<string>();
  #summary: WatchSummary | undefined;
  #line: Line = { is: "closed" };
  #listeners = new Set<() => void>();
  #logListeners = new Set<LogListener>();
  #isTold = true;
  #isPaused = false;
  #stream: AbortController | undefined;
  #selection = "";
  #cursor = "";
  #failures = 0;
  #begun = 0;
  #cancelTimer: (() => void) | undefined;
  #cancelSilence: (() => void) | undefined;

  constructor(watch: Watch, around: Surroundings = browser) {
    this.#watch = watch;
    this.#around = around;
  }

  /** Called when something changed, once a frame at most. */
  subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };

  onLogs(listener: LogListener): () => void {
    this.#logListeners.add(listener);
    return () => this.#logListeners.delete(listener);
  }

  job = (id: string): Job | undefined => this.#jobs.get(id);
  isUnknown = (id: string): boolean => this.#unknown.has(id);
  summary = (): WatchSummary | undefined => this.#summary;
  line = (): Line => this.#line;
  /** How many streams have begun: what is not kept for a resume, log lines above all, may have been
   * missed before each of them. */
  begun = (): number => this.#begun;

  /** Follows until the answer is called. */
  follow(wish: Wish): () => void {
    const drop = this.#interests.add(wish);
    this.#changed();
    return () => {
      drop();
      this.#changed();
    };
  }

  /** A job that an answer brought: it may be newer than what the stream has shown. */
  put(job: Job): void {
    const known = this.#jobs.get(job.id);
    if (known && !isNewer(job, known)) return;
    const wasFinal = known !== undefined && isFinal(known.state);
    this.#remember(job);
    // One that runs once more is followed again.
    if (wasFinal && !isFinal(job.state)) this.#changed();
    this.#tell();
  }

  /** Tries again at once, as when the network is back or the page is looked at again. */
  wake(): void {
    if (this.#line.is === "lost") this.#open();
  }

  /** Ends the stream until `resume`: a page that nobody sees takes none of the few connections. */
  pause(): void {
    this.#isPaused = true;
    this.#close();
  }

  resume(): void {
    this.#isPaused = false;
    if (this.#line.is === "closed") this.#changed();
  }

  #close(): void {
    this.#cancelTimer?.();
    this.#stop();
    this.#set({ is: "closed" });
  }

  #changed(): void {
    if (this.#isPaused) return;
    if (this.#interests.isEmpty()) return this.#close();
    if (this.#line.is === "lost") return;
    this.#schedule(GATHER_MS, () => {
      if (this.#selectionNow() !== this.#selection || !this.#stream) this.#open();
    });
  }

  #schedule(ms: number, run: () => void): void {
    this.#cancelTimer?.();
    this.#cancelTimer = this.#around.after(ms, run);
  }

  #selectionNow(): string {
    return this.#interests.selection((id) => this.#isOpen(id));
  }

  /** A watch by ids ends with its jobs, so those that have ended are not asked for; nor is what is
   * no id, since one of them refuses the watch of all. */
  #isOpen(id: string): boolean {
    const job = this.#jobs.get(id);
    return UUID.test(id) && !this.#unknown.has(id) && (job === undefined || !isFinal(job.state));
  }

  #stop(): void {
    this.#stream?.abort();
    this.#stream = undefined;
    this.#selection = "";
    this.#cancelSilence?.();
  }

  #open(): void {
    this.#cancelTimer?.();
    const selection = this.#selectionNow();
    if (selection !== this.#selection) this.#cursor = "";
    this.#stream?.abort();
    const stream = new AbortController();
    this.#stream = stream;
    this.#selection = selection;
    if (this.#line.is !== "lost") this.#set({ is: "connecting" });
    // A line that never answers is as lost as one that stops answering.
    this.#listen();
    const init = this.#interests.request((id) => this.#isOpen(id), this.#cursor);
    void this.#read(stream, create(WatchRequestSchema, init));
  }

  async #read(stream: AbortController, request: WatchRequest): Promise<void> {
    const ids = request.selector.case === "jobs" ? request.selector.value.ids : [];
    let isFirst = true;
    try {
      for await (const frame of this.#watch(request, { signal: stream.signal })) {
        if (this.#stream !== stream) return;
        if (isFirst) this.#begun += 1;
        isFirst = false;
        this.#failures = 0;
        if (this.#line.is !== "live") this.#set({ is: "live" });
        this.#listen();
        this.#take(frame);
      }
      if (this.#stream !== stream) return;
      // A watch ends with its jobs, and by nothing else but a server that goes.
      if (ids.length > 0 && !ids.some((id) => this.#isOpen(id))) return this.#over();
      // Or with one that was deleted while the line was lost: a snapshot will tell.
      this.#cursor = "";
      this.#lost(new ConnectError("the server ended the stream", Code.Unavailable));
    } catch (error) {
      if (this.#stream !== stream) return;
      const problem = ConnectError.from(error);
      if (ids.length > 0 && OF_THE_JOBS.has(problem.code)) {
        for (const id of ids) this.#unknown.add(id);
        this.#over();
      } else this.#lost(problem);
    }
  }

  /** What is left to see needs another stream. */
  #over(): void {
    this.#stop();
    this.#cursor = "";
    this.#schedule(GATHER_MS, () => this.#open());
  }

  #listen(): void {
    this.#cancelSilence?.();
    this.#cancelSilence = this.#around.after(SILENCE_MS, () => {
      this.#stream?.abort();
      this.#lost(new ConnectError("the server fell silent", Code.Unavailable));
    });
  }

  #lost(error: ConnectError): void {
    this.#stream = undefined;
    this.#cancelSilence?.();
    // A cursor that was refused would be refused for ever.
    if (error.code === Code.InvalidArgument) this.#cursor = "";
    const since = this.#line.is === "lost" ? this.#line.since : this.#around.now();
    this.#set({ is: "lost", since, error });
    const pause = Math.min(FIRST_PAUSE_MS * 2 ** this.#failures, LONGEST_PAUSE_MS);
    this.#failures += 1;
    this.#schedule(pause * (0.5 + this.#around.random() / 2), () => this.#open());
  }

  #take({ event, cursor }: WatchResponse): void {
    if (cursor !== "") this.#cursor = cursor;
    switch (event.case) {
      case "snapshot":
        for (const job of event.value.jobs) this.#newer(job);
        for (const id of event.value.unknownIds) this.#unknown.add(id);
        break;
      case "change":
        if (event.value.job) this.#newer(event.value.job);
        break;
      case "progress": {
        const { id, attempt, progress } = event.value;
        const job = this.#jobs.get(id);
        if (job && progress && job.attempt === attempt && !isFinal(job.state)) {
          this.#jobs.set(id, { ...job, progress });
        }
        break;
      }
      case "log":
        for (const listener of this.#logListeners) listener(event.value.id, event.value.lines);
        break;
      case "summary":
        this.#summary = event.value;
        break;
      // A snapshot follows a gap, and a keepalive is heard already.
      default:
        return;
    }
    this.#tell();
  }

  #newer(job: Job): void {
    const known = this.#jobs.get(job.id);
    if (known === undefined || isNewer(job, known)) this.#remember(job);
  }

  #remember(job: Job): void {
    const known = this.#jobs.get(job.id);
    this.#jobs.delete(job.id);
    this.#jobs.set(job.id, known ? withProgress(job, known) : job);
    this.#unknown.delete(job.id);
    if (this.#jobs.size > JOBS_MAX) this.#forget();
  }

  /** The older half of those that nobody follows. */
  #forget(): void {
    for (const id of [...this.#jobs.keys()].slice(0, JOBS_MAX / 2)) {
      if (!this.#interests.has(id)) this.#jobs.delete(id);
    }
  }

  #set(line: Line): void {
    this.#line = line;
    this.#tell();
  }

  #tell(): void {
    if (!this.#isTold) return;
    this.#isTold = false;
    this.#around.frame(() => {
      this.#isTold = true;
      for (const listener of this.#listeners) listener();
    });
  }
}

/** A change says nothing of how far the attempt has come: that stays until more is heard. */
function withProgress(job: Job, known: Job): Job {
  const isSame = job.run === known.run && job.attempt === known.attempt;
  return isSame && !job.progress && known.progress ? { ...job, progress: known.progress } : job;
}

/** By version, and within one by how far the handler has come. */
function isNewer(job: Job, known: Job): boolean {
  if (job.version !== known.version) return job.version > known.version;
  return (job.progress?.seq ?? 0n) >= (known.progress?.seq ?? 0n);
}
