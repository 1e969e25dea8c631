/** The timings and limits of a session, as the protocol defines them. */

export const TIMINGS = {
  /** The limit from opening a stream to its Welcome. */
  helloTimeoutMs: 5_000,
  connectTimeoutMs: 5_000,
  /** After this long without any frame the stream is considered dead. */
  silenceTimeoutMs: 5_000,
  /** After this long with unacknowledged reports the stream is considered dead. */
  ackTimeoutMs: 30_000,
  reconnect: { baseMs: 50, capMs: 5_000 },
  /** The delay before a report, a checkpoint or output is sent again after RETRY_LATER. */
  resend: { baseMs: 50, capMs: 5_000 },
  /** How long a handler may run after its attempt is over before its slot is free again. */
  abandonGraceMs: 5_000,
  /** The minimum interval between progress frames. */
  progressIntervalMs: 100,
  /** After the drain timeout: how long handlers may take to return before their jobs are released. */
  releaseGraceMs: 1_000,
  /** How long the last reports of a drain wait for their acknowledgements. */
  finalAckTimeoutMs: 5_000,
  /** How long the server may take to close the stream after Bye. */
  byeTimeoutMs: 1_000,
  /** After a stream that lived this long the reconnect is immediate. */
  healthyAfterMs: 1_000,
} as const;

/** The limit of items per frame. */
export const MAX_ITEMS = 1_000;
/** The approximate size limit of a report frame: a result can have 1 MiB, and messages are limited. */
export const MAX_REPORT_BYTES = 4 * 1024 * 1024;
/** The size limit of a frame of log lines. */
export const MAX_LOG_FRAME_BYTES = 1024 * 1024;
/** The limit of unacknowledged log lines per attempt, and also of unsent ones. */
export const LOG_WINDOW_LINES = 1_000;
/** Longer lines are split. */
export const MAX_LINE_BYTES = 64 * 1024;
/** The size limit of an attempt's unsent log lines. */
export const MAX_UNSENT_LOG_BYTES = 4 * 1024 * 1024;
/** The limit of finished attempts that are held only for unacknowledged log lines. */
export const MAX_AWAITING_LOG_ACK = 1_000;
/** The limit of queued cancel acknowledgements. The server repeats unacknowledged cancels. */
export const MAX_CANCEL_ACKS = 100_000;
/** The limits of an error, as in JobError. */
export const MAX_MESSAGE_BYTES = 16 * 1024;
export const MAX_CODE_BYTES = 128;
export const MAX_DETAIL_BYTES = 16 * 1024;
export const MAX_RESULT_BYTES = 1024 * 1024;
export const MAX_CHECKPOINT_BYTES = 64 * 1024;
/** The size limit of an output chunk. */
export const MAX_CHUNK_BYTES = 64 * 1024;
/** The limit of all output of an attempt. */
export const MAX_OUTPUT_BYTES = 10 * 1024 * 1024;
