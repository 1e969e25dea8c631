"""One attempt that this process holds, from its assignment until its report is settled."""

from collections import deque
from dataclasses import dataclass

from .._proto.sentinel.jobs.v1 import job_pb2
from .._proto.sentinel.workers.v1 import worker_service_pb2 as pb
from .._text import split_at
from .._time import wire_timestamp
from .constants import LOG_WINDOW_LINES, MAX_LINE_BYTES, MAX_LOG_FRAME_BYTES, MAX_UNSENT_LOG_BYTES

LeaseKey = tuple[str, int, int, int, str]


def lease_key(lease: pb.Lease) -> LeaseKey:
    return lease.job_id, lease.run, lease.attempt, lease.epoch, lease.session


class AttemptLog:
    """The log lines that the server has not acknowledged: numbered, limited by a window, sent again after a
    reconnect. When a handler logs faster than the server stores, the oldest unsent lines are dropped, which
    leaves a gap in `seq`."""

    def __init__(self) -> None:
        self._last_seq = 0
        self._unsent: deque[job_pb2.LogLine] = deque()
        self._unsent_bytes = 0
        self._unacked: deque[job_pb2.LogLine] = deque()

    def push(self, lease: pb.Lease, time_s: float, level: job_pb2.LogLevel, text: str) -> None:
        rest = text
        while True:
            line, rest = split_at(rest, MAX_LINE_BYTES)
            self._last_seq += 1
            self._unsent_bytes += len(line)
            log_line = job_pb2.LogLine(
                run=lease.run,
                attempt=lease.attempt,
                seq=self._last_seq,
                time=wire_timestamp(time_s),
                level=level,
                text=line,
            )
            self._unsent.append(log_line)
            if not rest:
                break
        while len(self._unsent) > LOG_WINDOW_LINES or self._unsent_bytes > MAX_UNSENT_LOG_BYTES:
            self._pop_unsent()

    def _pop_unsent(self) -> job_pb2.LogLine:
        line = self._unsent.popleft()
        self._unsent_bytes -= len(line.text)
        return line

    def take(self, ignore_window: bool) -> list[job_pb2.LogLine]:
        """The lines of the next frame. Empty when no line is unsent or the window is full. `ignore_window` is for
        an attempt that has finished."""
        max_lines = LOG_WINDOW_LINES if ignore_window else LOG_WINDOW_LINES - len(self._unacked)
        lines: list[job_pb2.LogLine] = []
        size = 0
        while self._unsent and len(lines) < max_lines:
            size += len(self._unsent[0].text) * 3
            if lines and size > MAX_LOG_FRAME_BYTES:
                break
            lines.append(self._pop_unsent())
        self._unacked.extend(lines)
        return lines

    def has_unsent(self) -> bool:
        return bool(self._unsent)

    def is_empty(self) -> bool:
        return not self._unsent and not self._unacked

    def ack(self, seq: int) -> None:
        """Removes the lines up to `seq`, which the server has stored."""
        while self._unacked and self._unacked[0].seq <= seq:
            self._unacked.popleft()

    def rewind(self) -> None:
        """After a lost stream: marks all unacknowledged lines as unsent."""
        self._unsent_bytes += sum(len(line.text) for line in self._unacked)
        self._unsent.extendleft(reversed(self._unacked))
        self._unacked.clear()

    def clear(self) -> None:
        self._unsent.clear()
        self._unacked.clear()
        self._unsent_bytes = 0


@dataclass
class PendingCheckpoint:
    """A checkpoint that waits for its acknowledgement."""

    seq: int
    data: bytes
    is_sent: bool = False


@dataclass
class PendingChunk:
    """An output chunk that waits for its acknowledgement."""

    offset: int
    data: bytes
    is_sent: bool = False


class HeldAttempt:
    def __init__(self, local_id: int, lease: pb.Lease, payload_bytes: int, run_timeout_s: float | None) -> None:
        self.local_id = local_id
        self.lease = lease
        self.payload_bytes = payload_bytes
        self.run_timeout_s = run_timeout_s
        self.started_at_s: float | None = None
        self.is_running = False
        self.has_lease = True
        self.is_cancel_requested = False
        self.report: pb.ReportItem | None = None
        # Whether the report is queued or sent on the current stream.
        self.is_report_queued = False
        self.resends = 0
        self.is_data_queued = False
        self.is_progress_queued = False
        # Finished, settled, and held only for its unacknowledged log lines, across at most one reconnect.
        self.awaits_log_ack = False
        self.awaited_log_ack_at_reconnect = False
        self.progress_seq = 0
        self.progress: job_pb2.Progress | None = None
        self.log = AttemptLog()
        self.checkpoint: PendingCheckpoint | None = None
        self.output: PendingChunk | None = None

    def has_unsent_data(self) -> bool:
        """Whether a checkpoint, output or log lines are unsent."""
        pending = (self.checkpoint, self.output)
        return self.log.has_unsent() or any(data is not None and not data.is_sent for data in pending)

    def rewind_checkpoint_and_output(self) -> None:
        """Marks an unacknowledged checkpoint and output chunk as unsent."""
        for data in (self.checkpoint, self.output):
            if data is not None:
                data.is_sent = False

    def rewind(self) -> None:
        """After a lost stream: marks all unacknowledged data as unsent."""
        self.is_report_queued = self.is_data_queued = self.is_progress_queued = False
        self.log.rewind()
        self.rewind_checkpoint_and_output()
