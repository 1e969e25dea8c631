"""One attempt while this process knows it: from its assignment until its report is settled."""

from collections import deque
from dataclasses import dataclass

from .._proto.sentinel.jobs.v1 import job_pb2
from .._proto.sentinel.workers.v1 import worker_service_pb2 as pb
from .._wire import split_text, wire_timestamp
from .tuning import LOG_WINDOW_LINES, MAX_LINE_BYTES, MAX_LOG_FRAME_BYTES, MAX_WAITING_LOG_BYTES

LeaseKey = tuple[str, int, int, int, str]


def lease_key(lease: pb.Lease) -> LeaseKey:
    return lease.job_id, lease.run, lease.attempt, lease.epoch, lease.session


class AttemptLog:
    """Log lines on their way to the server: numbered, windowed, sent again after a break. A handler
    that logs faster than lines are stored loses its oldest unsent ones; the gap in `seq` shows it."""

    def __init__(self) -> None:
        self._last_seq = 0
        self._unsent: deque[job_pb2.LogLine] = deque()
        self._unsent_bytes = 0
        self._in_flight: deque[job_pb2.LogLine] = deque()

    def push(self, lease: pb.Lease, time_s: float, level: job_pb2.LogLevel, text: str) -> None:
        rest = text
        while True:
            line, rest = split_text(rest, MAX_LINE_BYTES)
            self._last_seq += 1
            self._unsent_bytes += len(line)
            time = wire_timestamp(time_s)
            made = job_pb2.LogLine(
                run=lease.run, attempt=lease.attempt, seq=self._last_seq, time=time, level=level, text=line
            )
            self._unsent.append(made)
            if not rest:
                break
        while len(self._unsent) > LOG_WINDOW_LINES or self._unsent_bytes > MAX_WAITING_LOG_BYTES:
            self._pop()

    def _pop(self) -> job_pb2.LogLine:
        line = self._unsent.popleft()
        self._unsent_bytes -= len(line.text)
        return line

    def take(self, last_words: bool) -> list[job_pb2.LogLine]:
        """The next frame's lines; `last_words` ignores the window, for an attempt that has ended."""
        room = LOG_WINDOW_LINES if last_words else LOG_WINDOW_LINES - len(self._in_flight)
        lines: list[job_pb2.LogLine] = []
        size = 0
        while self._unsent and len(lines) < room:
            size += len(self._unsent[0].text) * 3
            if lines and size > MAX_LOG_FRAME_BYTES:
                break
            lines.append(self._pop())
        self._in_flight.extend(lines)
        return lines

    def has_unsent(self) -> bool:
        return bool(self._unsent)

    def is_empty(self) -> bool:
        return not self._unsent and not self._in_flight

    def ack(self, seq: int) -> None:
        while self._in_flight and self._in_flight[0].seq <= seq:
            self._in_flight.popleft()

    def rewind(self) -> None:
        self._unsent_bytes += sum(len(line.text) for line in self._in_flight)
        self._unsent.extendleft(reversed(self._in_flight))
        self._in_flight.clear()

    def clear(self) -> None:
        self._unsent.clear()
        self._in_flight.clear()
        self._unsent_bytes = 0


@dataclass
class PendingCheckpoint:
    seq: int
    data: bytes
    is_sent: bool = False


@dataclass
class PendingOutput:
    offset: int
    data: bytes
    is_sent: bool = False


class Held:
    def __init__(self, no: int, lease: pb.Lease, payload_bytes: int, run_timeout_s: float | None) -> None:
        self.no = no
        self.lease = lease
        self.payload_bytes = payload_bytes
        self.run_timeout_s = run_timeout_s
        self.started_at_s: float | None = None
        self.is_running = False
        self.is_lease_live = True
        self.is_cancel_requested = False
        self.report: pb.ReportItem | None = None
        # The report is queued or sent on the present stream.
        self.is_reporting = False
        self.resends = 0
        self.is_in_side = False
        self.is_in_progress = False
        # Ended, settled, and only kept for its log lines, through at most one break.
        self.is_lingering = False
        self.broke_while_lingering = False
        self.progress_seq = 0
        self.progress: job_pb2.Progress | None = None
        self.log = AttemptLog()
        self.checkpoint: PendingCheckpoint | None = None
        self.output: PendingOutput | None = None

    def has_side_to_send(self) -> bool:
        waiting = (self.checkpoint, self.output)
        return self.log.has_unsent() or any(one is not None and not one.is_sent for one in waiting)

    def unsend(self) -> None:
        """What was sent and not acknowledged goes out again."""
        for one in (self.checkpoint, self.output):
            if one is not None:
                one.is_sent = False

    def rewind(self) -> None:
        """The stream is gone: what it had not acknowledged goes out again."""
        self.is_reporting = self.is_in_side = self.is_in_progress = False
        self.log.rewind()
        self.unsend()
