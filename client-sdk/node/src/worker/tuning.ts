/** The timings and bounds of a session, with the values that the protocol names. */

export const TUNING = {
  /** From opening a stream to its Welcome. */
  helloTimeoutMs: 5_000,
  connectTimeoutMs: 5_000,
  /** Without any frame for this long the stream counts as dead. */
  silenceMs: 5_000,
  /** With reports sent and none acknowledged for this long the stream counts as dead. */
  ackTimeoutMs: 30_000,
  redial: { baseMs: 50, capMs: 5_000 },
  /** Before a report or a checkpoint is sent again after RETRY_LATER. */
  resend: { baseMs: 50, capMs: 5_000 },
  /** A handler whose attempt is lost gets this long before its slot is given away. */
  abandonGraceMs: 5_000,
  /** Progress frames are at least this far apart. */
  progressIntervalMs: 100,
  /** After the drain timeout: handlers get this long to return before their jobs are handed back. */
  releaseGraceMs: 1_000,
  /** The last reports of a drain get this long to be acknowledged. */
  lastAcksTimeoutMs: 5_000,
  /** The server gets this long to end the stream after Bye. */
  byePatienceMs: 1_000,
  /** A stream that lived this long is redialled at once. */
  healthyAfterMs: 1_000,
} as const;

/** Items of one frame. */
export const MAX_ITEMS = 1_000;
/** One report frame holds about this; results can be 1 MiB each and a message has its limit. */
export const MAX_REPORT_BYTES = 4 * 1024 * 1024;
/** One frame of log lines holds at most this. */
export const MAX_LOG_FRAME_BYTES = 1024 * 1024;
/** Log lines sent and not acknowledged, and lines that wait: each at most this many an attempt. */
export const LOG_WINDOW_LINES = 1_000;
/** Longer lines are split. */
export const MAX_LINE_BYTES = 64 * 1024;
/** Waiting lines of one attempt hold at most this. */
export const MAX_WAITING_LOG_BYTES = 4 * 1024 * 1024;
/** Ended attempts whose log lines wait for their acknowledgement. */
export const MAX_LINGERING = 1_000;
/** Waiting acknowledgements of cancels; what is over comes again with the next Pong. */
export const MAX_CANCEL_ACKS = 100_000;
export const MAX_RESULT_BYTES = 1024 * 1024;
export const MAX_CHECKPOINT_BYTES = 64 * 1024;
/** Output travels in pieces of this size. */
export const MAX_PIECE_BYTES = 64 * 1024;
/** All output of an attempt. */
export const MAX_OUTPUT_BYTES = 10 * 1024 * 1024;
