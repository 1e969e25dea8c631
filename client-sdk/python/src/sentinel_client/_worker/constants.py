"""The timings and limits of a session, as the protocol defines them."""

from .._backoff import Backoff

# The limit from opening a stream to its Welcome.
HELLO_TIMEOUT_S = 5.0
# After this long without any frame the stream is considered dead.
SILENCE_TIMEOUT_S = 5.0
# After this long with unacknowledged reports the stream is considered dead.
ACK_TIMEOUT_S = 30.0
RECONNECT = Backoff(0.05, 5.0)
# The delay before a report, a checkpoint or output is sent again after RETRY_LATER.
RESEND = Backoff(0.05, 5.0)
# How long a handler may run after its attempt is over before it is cancelled and its slot is free again.
ABANDON_GRACE_S = 5.0
# The minimum interval between progress frames.
PROGRESS_INTERVAL_S = 0.1
# After the drain timeout: how long handlers may take to return before their jobs are released.
RELEASE_GRACE_S = 1.0
# How long the last reports of a drain wait for their acknowledgements.
FINAL_ACK_TIMEOUT_S = 5.0
# How long the server may take to close the stream after Bye.
BYE_TIMEOUT_S = 1.0
# After a stream that lived this long the reconnect is immediate.
HEALTHY_AFTER_S = 1.0

# The limit of items per frame.
MAX_ITEMS = 1_000
# The approximate size limit of a report frame: a result can have 1 MiB, and messages are limited.
MAX_REPORT_BYTES = 4 * 1024 * 1024
# The size limit of a frame of log lines.
MAX_LOG_FRAME_BYTES = 1024 * 1024
# The limit of unacknowledged log lines per attempt, and also of unsent ones.
LOG_WINDOW_LINES = 1_000
# Longer lines are split.
MAX_LINE_BYTES = 64 * 1024
# The size limit of an attempt's unsent log lines.
MAX_UNSENT_LOG_BYTES = 4 * 1024 * 1024
# The limit of finished attempts that are held only for unacknowledged log lines.
MAX_AWAITING_LOG_ACK = 1_000
# The limit of queued cancel acknowledgements. The server repeats unacknowledged cancels.
MAX_CANCEL_ACKS = 100_000
MAX_RESULT_BYTES = 1024 * 1024
MAX_CHECKPOINT_BYTES = 64 * 1024
# The size limit of an output chunk.
MAX_CHUNK_BYTES = 64 * 1024
# The limit of all output of an attempt.
MAX_OUTPUT_BYTES = 10 * 1024 * 1024
