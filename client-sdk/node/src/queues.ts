/** The calls of QueueService. */
import type { Client as RpcClient } from "@connectrpc/connect";
import type { Caller, CallOptions } from "./caller.js";
import { InvalidArgumentError, ProtocolError } from "./errors.js";
import { type Queue, QueueOrder, QueueService } from "./gen/sentinel/admin/v1/queue_service_pb.js";
import { wireDuration } from "./time.js";

/** The settings of a queue. */
export interface QueueSettings {
  /** `aging`: by waiting time, in which a priority level counts as `priorityBoostMs`. `strict`: by priority. Default aging. */
  readonly order?: "aging" | "strict";
  /** The value of one priority level under aging. Default 60,000, range 1 ms..24 h. */
  readonly priorityBoostMs?: number;
  /** A description for people. At most 1024 bytes. */
  readonly description?: string;
  /** Paths of payload fields that jobs can be filtered by, such as `order.customer_id`. At most 8. */
  readonly indexPaths?: readonly string[];
}

const PATHS = {
  order: "order",
  priorityBoostMs: "priority_boost",
  description: "description",
  indexPaths: "index_paths",
} as const;

const ORDER = { aging: QueueOrder.AGING, strict: QueueOrder.STRICT } as const;

/** Creates, changes, pauses and lists queues. Calls are repeated as those of `Client`. */
export class Queues {
  /** The generated client. It does not retry. */
  readonly raw: RpcClient<typeof QueueService>;
  readonly #caller: Caller;

  /** @internal */
  constructor(caller: Caller) {
    this.#caller = caller;
    this.raw = caller.service(QueueService);
  }

  /**
   * Creates a queue. Idempotent: a queue with the same settings is returned.
   *
   * @throws ApiError with reason QUEUE_EXISTS when it exists with other settings.
   */
  async create(name: string, settings: QueueSettings = {}, options: CallOptions = {}): Promise<Queue> {
    const request = { queue: toQueue(name, settings), actor: this.#caller.actor(options) };
    return queueOf(await this.#caller.call(options, (rpc) => this.raw.createQueue(request, rpc)));
  }

  /** Changes the given settings of a queue. */
  async update(name: string, settings: QueueSettings, options: CallOptions = {}): Promise<Queue> {
    const given = Object.entries(settings).filter(([, value]) => value !== undefined);
    const paths = given.map(([field]) => PATHS[field as keyof typeof PATHS]);
    if (paths.length === 0) throw new InvalidArgumentError("invalid settings: name at least one to change");
    const actor = this.#caller.actor(options);
    const request = { queue: toQueue(name, settings), updateMask: { paths }, actor };
    return queueOf(await this.#caller.call(options, (rpc) => this.raw.updateQueue(request, rpc)));
  }

  /** Gets a queue. */
  async get(name: string, options: CallOptions = {}): Promise<Queue> {
    return queueOf(await this.#caller.call(options, (rpc) => this.raw.getQueue({ name }, rpc)));
  }

  /** Lists all queues by name. Pages are fetched as the iterator is read. */
  async *list(options: CallOptions & { readonly pageSize?: number } = {}): AsyncGenerator<Queue, void, undefined> {
    let pageToken = "";
    do {
      const request = { pageSize: options.pageSize ?? 0, pageToken };
      const page = await this.#caller.call(options, (rpc) => this.raw.listQueues(request, rpc));
      yield* page.queues;
      pageToken = page.nextPageToken;
    } while (pageToken !== "");
  }

  /** Starts no job of the queue, also no retry; running jobs continue and new jobs are accepted. Idempotent. */
  async pause(name: string, options: CallOptions = {}): Promise<Queue> {
    const request = { name, actor: this.#caller.actor(options) };
    return queueOf(await this.#caller.call(options, (rpc) => this.raw.pauseQueue(request, rpc)));
  }

  /** Ends a pause or a drain. Idempotent. */
  async resume(name: string, options: CallOptions = {}): Promise<Queue> {
    const request = { name, actor: this.#caller.actor(options) };
    return queueOf(await this.#caller.call(options, (rpc) => this.raw.resumeQueue(request, rpc)));
  }

  /** Rejects new jobs of the queue with QUEUE_DRAINING; existing jobs run. Idempotent. */
  async drain(name: string, options: CallOptions = {}): Promise<Queue> {
    const request = { name, actor: this.#caller.actor(options) };
    return queueOf(await this.#caller.call(options, (rpc) => this.raw.drainQueue(request, rpc)));
  }
}

function queueOf(response: { queue?: Queue }): Queue {
  if (response.queue === undefined) throw new ProtocolError("the server sent no queue");
  return response.queue;
}

/** @throws InvalidArgumentError for an unknown setting or order. */
function toQueue(name: string, settings: QueueSettings) {
  const unknown = Object.keys(settings).find((field) => !Object.hasOwn(PATHS, field));
  if (unknown !== undefined) {
    const allowed = Object.keys(PATHS).join(", ");
    throw new InvalidArgumentError(`invalid setting ${JSON.stringify(unknown)}; allowed are ${allowed}`);
  }
  const { order, priorityBoostMs, description, indexPaths } = settings;
  if (order !== undefined && !Object.hasOwn(ORDER, order)) {
    throw new InvalidArgumentError(`invalid order ${JSON.stringify(order)}; allowed are aging, strict`);
  }
  return {
    name,
    order: order === undefined ? QueueOrder.UNSPECIFIED : ORDER[order],
    description: description ?? "",
    indexPaths: [...(indexPaths ?? [])],
    ...(priorityBoostMs !== undefined && { priorityBoost: wireDuration("priorityBoostMs", priorityBoostMs) }),
  };
}
