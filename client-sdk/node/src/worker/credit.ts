/** How many more jobs a session may take: slots and payload bytes that are neither used nor granted. */
import { create } from "@bufbuild/protobuf";
import { type Credit, CreditSchema } from "../gen/sentinel/workers/v1/worker_service_pb.js";
import type { StreamState } from "./stream-state.js";
import type { SessionConfig } from "./thread-messages.js";

export class CreditAccount {
  /** The handlers that run, and the bytes of their payloads. */
  #running = 0;
  #runningBytes = 0;

  constructor(private readonly config: SessionConfig) {}

  get hasFreeSlot(): boolean {
    return this.#running < this.config.slots;
  }

  started(payloadBytes: number): void {
    this.#running += 1;
    this.#runningBytes += payloadBytes;
  }

  finished(payloadBytes: number): void {
    this.#running -= 1;
    this.#runningBytes -= payloadBytes;
  }

  /** Whether there is credit that is not granted on this stream. */
  isAvailable(stream: StreamState, unsettledReports: number): boolean {
    return this.#slots(stream, unsettledReports) > 0 || this.#bytes(stream) > 0;
  }

  /** Grants all available credit on a stream. */
  grant(stream: StreamState, unsettledReports: number): Credit {
    const jobs = this.#slots(stream, unsettledReports);
    // At least 1, because 0 would mean unlimited.
    const bytes = this.config.maxPayloadBytes === 0 ? 0 : Math.max(1, this.#bytes(stream));
    stream.grantedSlots += jobs;
    stream.grantedBytes += bytes;
    return create(CreditSchema, { jobs, bytes: BigInt(bytes) });
  }

  /** Unsettled reports reduce the slots too, so that this process does not grow while the store commits nothing. */
  #slots(stream: StreamState, unsettledReports: number): number {
    const granted = stream.grantedSlots;
    const { slots } = this.config;
    const bySlots = slots - this.#running - granted;
    const byReports = Math.max(slots * 2, 10_000) - unsettledReports - granted;
    return Math.max(0, Math.min(bySlots, byReports));
  }

  #bytes(stream: StreamState): number {
    if (this.config.maxPayloadBytes === 0) return 0;
    return this.config.maxPayloadBytes - this.#runningBytes - stream.grantedBytes;
  }
}
