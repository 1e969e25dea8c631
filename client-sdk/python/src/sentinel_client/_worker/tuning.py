"""The timings and bounds of a session, with the values that the protocol names."""

from .._backoff import Backoff

# From opening a stream to its Welcome.
HELLO_TIMEOUT_S = 5.0
# Without any frame for this long the stream counts as dead.
SILENCE_S = 5.0
# With reports sent and none acknowledged for this long the stream counts as dead.
ACK_TIMEOUT_S = 30.0
REDIAL = Backoff(0.05, 5.0)
# Before a report or a checkpoint is sent again after RETRY_LATER.
RESEND = Backoff(0.05, 5.0)
# A handler whose attempt is lost gets this long before it is cancelled and its slot given away.
ABANDON_GRACE_S = 5.0
# Progress frames are at least this far apart.
PROGRESS_INTERVAL_S = 0.1
# After the drain timeout: handlers get this long to return before their jobs are handed back.
RELEASE_GRACE_S = 1.0
# The last reports of a drain get this long to be acknowledged.
LAST_ACKS_TIMEOUT_S = 5.0
# The server gets this long to end the stream after Bye.
BYE_PATIENCE_S = 1.0
# A stream that lived this long is redialled at once.
HEALTHY_AFTER_S = 1.0

# Items of one frame.
MAX_ITEMS = 1_000
# One report frame holds about this; results can be 1 MiB each and a message has its limit.
MAX_REPORT_BYTES = 4 * 1024 * 1024
MAX_LOG_FRAME_BYTES = 1024 * 1024
# Log lines sent and not acknowledged, and lines that wait: each at most this many an attempt.
LOG_WINDOW_LINES = 1_000
# Longer lines are split.
MAX_LINE_BYTES = 64 * 1024
# Waiting lines of one attempt hold at most this.
MAX_WAITING_LOG_BYTES = 4 * 1024 * 1024
# Ended attempts whose log lines wait for their acknowledgement.
MAX_LINGERING = 1_000
# Waiting acknowledgements of cancels; what is over comes again with the next Pong.
MAX_CANCEL_ACKS = 100_000
MAX_RESULT_BYTES = 1024 * 1024
MAX_CHECKPOINT_BYTES = 64 * 1024
# Output travels in pieces of this size.
MAX_PIECE_BYTES = 64 * 1024
# All output of an attempt.
MAX_OUTPUT_BYTES = 10 * 1024 * 1024
