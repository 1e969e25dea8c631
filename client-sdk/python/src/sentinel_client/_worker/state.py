"""The rules of a worker's session, without IO: which attempts this process holds, how much room it
has granted, what is to be sent now and what again after a break. The clock is an argument.

An attempt is held from its assignment until its handler has ended and its report is settled.
Running handlers are counted until they end, also those whose lease is lost: they use the machine
all the same.
"""

import random
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from .._proto.sentinel.jobs.v1 import job_pb2
from .._proto.sentinel.workers.v1 import worker_service_pb2 as pb
from .._wire import Endpoint, Tls, seconds_of, wire_timestamp
from ..errors import ProtocolError
from .drain import Drain
from .held import Held, LeaseKey, PendingCheckpoint, PendingOutput, lease_key
from .outcome import Cancelled, Ended, Release, fill, timed_out, to_report
from .timers import Timers
from .tuning import (
    ABANDON_GRACE_S,
    ACK_TIMEOUT_S,
    MAX_CANCEL_ACKS,
    MAX_ITEMS,
    MAX_LINGERING,
    MAX_REPORT_BYTES,
    PROGRESS_INTERVAL_S,
    RESEND,
    SILENCE_S,
)

_DEFAULT_PING_S = 2.0
_MIN_PING_S = 0.01
_MAX_PING_S = 60.0

CheckpointAnswer = Literal["stored", "fenced", "ended"]
OutputAnswer = Literal["stored", "fenced", "not_taken", "unsupported"]


@dataclass(frozen=True)
class Setup:
    """Who this worker is, and how much it runs."""

    endpoints: Sequence[Endpoint]
    credential: str | None
    tls: Tls | None
    instance: str
    build: str
    queues: Sequence[str]
    kinds: Mapping[str, str]
    """Descriptions by kind."""
    labels: Mapping[str, str]
    slots: int
    payload_bytes: int
    drain_timeout_s: float


class Handlers(Protocol):
    """The handlers' side, as far as the rules tell it things. Called under the session's lock."""

    def start(self, no: int, assignment: pb.Assignment) -> None: ...

    def cancel(self, no: int) -> None: ...

    def abandon(self, no: int) -> None:
        """Nobody waits for this handler any more."""

    def checkpointed(self, no: int, seq: int, answer: CheckpointAnswer) -> None: ...

    def handed(self, no: int, offset: int, answer: OutputAnswer) -> None: ...


@dataclass
class _Link:
    """What belongs to one stream and starts anew with the next Hello."""

    last_heard: float
    waits_since: float
    is_up: bool = False
    # The server takes output.
    takes_output: bool = False
    # The attempts named in Hello.held, in its order: the verdicts refer to it.
    hello_held: list[int] = field(default_factory=list)
    credit_out: int = 0
    # Granted, less the payloads that were assigned.
    bytes_out: int = 0
    last_assign_seq: int = 0
    received_due: bool = False
    cancel_acks: deque[pb.Lease] = field(default_factory=deque)
    reports: deque[int] = field(default_factory=deque)
    # Attempts with log lines, a checkpoint or output to send.
    side: deque[int] = field(default_factory=deque)
    # Attempts that ended and whose last words go out before their reports.
    last_words: deque[int] = field(default_factory=deque)
    progress: deque[int] = field(default_factory=deque)
    last_progress: float = float("-inf")
    # Reports sent and not acknowledged.
    in_flight: int = 0
    next_ping: float = 0.0
    drain_sent: bool = False
    drain_acked: int | None = None
    go_away_s: float | None = None


class SessionState:
    def __init__(
        self, setup: Setup, handlers: Handlers, now: float, unit: Callable[[], float] = random.random
    ) -> None:
        self._setup = setup
        self._handlers = handlers
        self._unit = unit
        self.drain = Drain(self)
        self._session = ""
        self._ping_interval = _DEFAULT_PING_S
        self._ping_nonce = 0
        self._held: dict[int, Held] = {}
        self._by_lease: dict[LeaseKey, Held] = {}
        self._last_no = 0
        self._running = 0
        self._running_bytes = 0
        self._unacked = 0
        self._lingering = 0
        self._timers = Timers()
        self._link = _Link(now, now)

    @property
    def was_welcomed(self) -> bool:
        return self._session != ""

    # Streams come and go.

    def disconnected(self, now: float) -> None:
        """The stream is gone. What it carried and was not acknowledged goes out after the next Welcome."""
        self._link = _Link(now, now)
        for held in list(self._held.values()):
            held.rewind()
            if held.is_lingering:
                if held.broke_while_lingering:
                    self._forget(held)
                held.broke_while_lingering = True

    def hello(self, now: float) -> pb.Hello:
        self.disconnected(now)
        live = [held for held in self._held.values() if held.is_lease_live]
        self._link.hello_held = [held.no for held in live]
        setup = self._setup
        return pb.Hello(
            instance=setup.instance,
            build=setup.build,
            queues=setup.queues,
            kinds=[pb.Kind(name=name, description=text) for name, text in setup.kinds.items()],
            labels=setup.labels,
            session=self._session,
            held=[held.lease for held in live],
            credit=self._grant(),
        )

    def welcome(self, now: float, welcome: pb.Welcome) -> None:
        asked, self._link.hello_held = self._link.hello_held, []
        if len(welcome.held) != len(asked):
            raise ProtocolError("Welcome.held has another length than Hello.held")
        if not welcome.session:
            raise ProtocolError("Welcome without a session")
        self._session = welcome.session
        ping = seconds_of(welcome.ping) if welcome.HasField("ping") else _DEFAULT_PING_S
        self._ping_interval = min(max(ping, _MIN_PING_S), _MAX_PING_S)
        link = self._link
        link.is_up = True
        link.takes_output = "output" in welcome.capabilities
        link.last_heard = now
        link.next_ping = now + self._ping_interval
        for no, verdict in zip(asked, welcome.held, strict=True):
            held = self._held.get(no)
            # KEEP, or an unknown verdict: the one on the report will tell.
            if held is None or verdict not in (pb.HELD_VERDICT_REVOKED, pb.HELD_VERDICT_ALREADY_RECORDED):
                continue
            if verdict == pb.HELD_VERDICT_REVOKED or held.is_running:
                self._lose(now, held)
            else:
                self._settle(held)
        for held in self._held.values():
            self._queue_side(held)
            if held.report is not None:
                held.is_reporting = True
                self._timers.clear(held.no, "resend")
                link.reports.append(held.no)

    # What the server says. Everything may come twice, late, or about attempts that this process no
    # longer knows; none of that is an error.

    def frame(self, now: float, response: pb.SessionResponse) -> None:
        link = self._link
        link.last_heard = now
        match response.WhichOneof("frame"):
            case "welcome":
                raise ProtocolError("a second Welcome")
            case "assign":
                self._assign(now, response.assign)
            case "report_ack":
                self.report_ack(now, response.report_ack)
            case "checkpoint_ack":
                self._checkpoint_ack(now, response.checkpoint_ack)
            case "output_ack":
                self._output_ack(now, response.output_ack)
            case "log_ack":
                self._log_ack(response.log_ack)
            case "cancel":
                self._cancel(response.cancel.items)
            case "pong":
                self._cancel(response.pong.cancels)
            case "revoked":
                self.revoked(now, response.revoked)
            case "drain_ack":
                link.drain_acked = response.drain_ack.last_assign_seq
                self.drain.advance(now)
            case "go_away":
                link.go_away_s = seconds_of(response.go_away.reconnect_within)
            case _:
                # A frame of a later version: the capabilities of Hello did not ask for it.
                pass

    def take_go_away(self) -> float | None:
        """How soon the server wants to be left, once after each GoAway."""
        within, self._link.go_away_s = self._link.go_away_s, None
        return within

    def _assign(self, now: float, assign: pb.Assign) -> None:
        link = self._link
        link.received_due = True
        if 0 < link.last_assign_seq and assign.assign_seq <= link.last_assign_seq:
            # A repeat: what it carried is held already; it only wants to be told so.
            return
        link.last_assign_seq = assign.assign_seq
        for item in assign.items:
            self._take(now, item)
        self.drain.advance(now)

    def _take(self, now: float, item: pb.Assignment) -> None:
        if not item.HasField("lease"):
            raise ProtocolError("an assignment without a lease")
        link = self._link
        had_credit = link.credit_out > 0
        link.credit_out = max(0, link.credit_out - 1)
        link.bytes_out -= len(item.payload)
        key = lease_key(item.lease)
        if key in self._by_lease:
            return
        # Not started: after Drain nothing new begins, and a server that sends more than it was
        # granted must not make this process grow.
        starts = not self.drain.has_begun and had_credit and self._running < self._setup.slots
        self._last_no += 1
        timeout = seconds_of(item.run_timeout) if item.HasField("run_timeout") else None
        held = Held(self._last_no, item.lease, len(item.payload), timeout)
        self._held[held.no] = held
        self._by_lease[key] = held
        if not starts:
            self._report(held, Release())
            return
        held.is_running = True
        held.started_at_s = time.time()
        self._running += 1
        self._running_bytes += held.payload_bytes
        if timeout is not None:
            self._timers.set(held.no, "run_timeout", now + timeout)
        self._handlers.start(held.no, item)

    def _find(self, lease: pb.Lease) -> Held | None:
        return self._by_lease.get(lease_key(lease))

    def report_ack(self, now: float, ack: pb.ReportAck) -> None:
        """Verdicts also count when they come on a stream that is being left."""
        self._link.in_flight = max(0, self._link.in_flight - len(ack.items))
        self._link.waits_since = now
        for item in ack.items:
            held = self._find(item.lease)
            if held is None:
                continue
            if item.verdict in (pb.VERDICT_RECORDED, pb.VERDICT_DUPLICATE):
                self._settle(held)
            elif item.verdict == pb.VERDICT_FENCED:
                self._lose(now, held)
            else:
                self._resend_later(now, held)
        self.drain.advance(now)

    def _resend_later(self, now: float, held: Held) -> None:
        held.is_reporting = False
        self._timers.set(held.no, "resend", now + RESEND.pause_s(held.resends, self._unit()))
        held.resends += 1

    def _checkpoint_ack(self, now: float, ack: pb.CheckpointAck) -> None:
        held = self._find(ack.lease)
        if held is None or held.checkpoint is None or held.checkpoint.seq != ack.seq:
            return
        if ack.verdict in (pb.VERDICT_RECORDED, pb.VERDICT_DUPLICATE):
            held.checkpoint = None
            self._handlers.checkpointed(held.no, ack.seq, "stored")
        elif ack.verdict == pb.VERDICT_FENCED:
            self._lose(now, held)
        else:
            self._resend_later(now, held)

    def _output_ack(self, now: float, ack: pb.OutputAck) -> None:
        held = self._find(ack.lease)
        if held is None or held.output is None or held.output.offset != ack.offset:
            return
        if ack.verdict in (pb.VERDICT_RECORDED, pb.VERDICT_DUPLICATE):
            is_taken = ack.stored >= ack.offset + len(held.output.data)
            held.output = None
            self._handlers.handed(held.no, ack.offset, "stored" if is_taken else "not_taken")
        elif ack.verdict == pb.VERDICT_FENCED:
            self._lose(now, held)
        else:
            self._resend_later(now, held)

    def _log_ack(self, ack: pb.LogAck) -> None:
        held = self._find(ack.lease)
        if held is not None:
            held.log.ack(ack.seq)
            self._queue_side(held)
            self._forget_if_done(held)

    def _cancel(self, items: Sequence[pb.CancelItem]) -> None:
        for item in items:
            held = self._find(item.lease)
            if held is not None and held.is_lease_live and not held.is_cancel_requested:
                held.is_cancel_requested = True
                if held.is_running:
                    self._handlers.cancel(held.no)
            # Acknowledged also when the handler has ended or was never here: only the answer stops
            # the repeats.
            if len(self._link.cancel_acks) < MAX_CANCEL_ACKS:
                self._link.cancel_acks.append(item.lease)

    def revoked(self, now: float, revoked: pb.Revoked) -> None:
        """Leases that the server has taken back."""
        for lease in revoked.leases:
            held = self._find(lease)
            if held is not None:
                self._lose(now, held)
        self.drain.advance(now)

    # What handlers say.

    def finished(self, now: float, no: int, started_at_s: float | None, ended: Ended) -> None:
        held = self._held.get(no)
        if held is None or not held.is_running:
            return
        held.started_at_s = started_at_s or held.started_at_s
        held.is_running = False
        held.checkpoint = None
        held.output = None
        self._running -= 1
        self._running_bytes -= held.payload_bytes
        self._timers.clear(no, "run_timeout", "abandon")
        if not held.is_lease_live or held.report is not None:
            self._forget_if_done(held)
        else:
            self._report(held, to_report(ended, held.is_cancel_requested, self.drain.is_releasing))
        self.drain.advance(now)

    def progressed(self, no: int, done: int, total: int, message: str) -> None:
        held = self._writer(no)
        if held is not None:
            held.progress_seq += 1
            held.progress = job_pb2.Progress(seq=held.progress_seq, done=done, total=total, message=message)
            self._queue_side(held)

    def logged(self, no: int, time_s: float, level: job_pb2.LogLevel, text: str) -> None:
        held = self._writer(no)
        if held is not None:
            held.log.push(held.lease, time_s, level, text)
            self._queue_side(held)

    def checkpoint(self, no: int, seq: int, data: bytes) -> None:
        held = self._writer(no)
        if held is None:
            self._handlers.checkpointed(no, seq, "fenced")
            return
        if held.checkpoint is not None:
            self._handlers.checkpointed(no, held.checkpoint.seq, "ended")
        held.checkpoint = PendingCheckpoint(seq, data)
        self._queue_side(held)

    def output(self, no: int, offset: int, data: bytes) -> None:
        held = self._writer(no)
        if held is None:
            self._handlers.handed(no, offset, "fenced")
        elif self._link.is_up and not self._link.takes_output:
            self._handlers.handed(no, offset, "unsupported")
        else:
            held.output = PendingOutput(offset, data)
            self._queue_side(held)

    def _writer(self, no: int) -> Held | None:
        held = self._held.get(no)
        return held if held is not None and held.is_running and held.is_lease_live else None

    # How attempts end.

    def _report(self, held: Held, ended: Ended) -> None:
        if held.report is None:
            self._unacked += 1
        held.report = pb.ReportItem(lease=held.lease)
        if held.started_at_s is not None:
            held.report.started_at.CopyFrom(wire_timestamp(held.started_at_s))
        fill(held.report, ended)
        if not self._link.is_up:
            return
        if held.log.has_unsent() or held.progress is not None:
            self._link.last_words.append(held.no)
        held.is_reporting = True
        self._link.reports.append(held.no)

    def _lose(self, now: float, held: Held) -> None:
        """The lease is lost: the handler is told to stop and nothing more is sent about it."""
        if not held.is_lease_live:
            return
        held.is_lease_live = False
        held.progress = None
        held.log.clear()
        if held.checkpoint is not None:
            self._handlers.checkpointed(held.no, held.checkpoint.seq, "fenced")
        held.checkpoint = None
        if held.output is not None:
            self._handlers.handed(held.no, held.output.offset, "fenced")
        held.output = None
        if held.report is not None:
            self._unacked -= 1
        held.report = None
        self._timers.clear(held.no, "run_timeout", "resend")
        if held.is_running:
            self._handlers.cancel(held.no)
            # A handler that ignores the cancel must not hold its slot for ever.
            self._timers.set(held.no, "abandon", now + ABANDON_GRACE_S)
        self._forget_if_done(held)

    def _settle(self, held: Held) -> None:
        """The report is the record; only log lines may still be on their way."""
        if held.report is None:
            return
        held.report = None
        self._unacked -= 1
        held.is_lease_live = False
        self._timers.clear(held.no, "resend")
        self._forget_if_done(held)

    def _forget_if_done(self, held: Held) -> None:
        if held.is_running or held.report is not None or held.is_lease_live:
            return
        if held.log.is_empty() or (not held.is_lingering and self._lingering >= MAX_LINGERING):
            self._forget(held)
        elif not held.is_lingering:
            held.is_lingering = True
            self._lingering += 1

    def _forget(self, held: Held) -> None:
        if self._held.pop(held.no, None) is None:
            return
        self._timers.clear(held.no, "run_timeout", "abandon", "resend")
        if held.is_lingering:
            self._lingering -= 1
        del self._by_lease[lease_key(held.lease)]

    # Time.

    def advance(self, now: float) -> None:
        while (due := self._timers.take(now)) is not None:
            no, kind = due
            held = self._held.get(no)
            if held is None:
                continue
            if kind == "run_timeout":
                self._time_out(now, held)
            elif kind == "abandon":
                self._handlers.abandon(no)
                self.finished(now, no, None, Release())
            else:
                self._resend(held)
        self.drain.advance(now)

    def _time_out(self, now: float, held: Held) -> None:
        if not held.is_running or not held.is_lease_live or held.report is not None:
            return
        self._handlers.cancel(held.no)
        self._timers.set(held.no, "abandon", now + ABANDON_GRACE_S)
        self._report(held, Cancelled() if held.is_cancel_requested else timed_out(held.run_timeout_s or 0.0))

    def _resend(self, held: Held) -> None:
        if not self._link.is_up:
            return
        if held.report is not None and not held.is_reporting:
            held.is_reporting = True
            self._link.reports.append(held.no)
        held.unsend()
        self._queue_side(held)

    def dead(self, now: float) -> str | None:
        """Why the stream counts as dead: silent, or acknowledging no report."""
        link = self._link
        if not link.is_up:
            return None
        if now >= link.last_heard + self._silence():
            return "the server went silent"
        if link.in_flight > 0 and now >= link.waits_since + ACK_TIMEOUT_S:
            return "the server acknowledged no report for too long"
        return None

    def _silence(self) -> float:
        """A server that pings seldom must not look dead between two pings."""
        return max(SILENCE_S, self._ping_interval * 2.5)

    def next_wake(self) -> float:
        """When there may be something new to do or to say."""
        link = self._link
        wakes = [self._timers.next(), self.drain.until]
        if link.is_up:
            wakes += [link.last_heard + self._silence(), link.next_ping]
            if link.in_flight > 0:
                wakes.append(link.waits_since + ACK_TIMEOUT_S)
            if link.progress:
                wakes.append(link.last_progress + PROGRESS_INTERVAL_S)
        return min((wake for wake in wakes if wake is not None), default=float("inf"))

    # Room for more jobs.

    def _grantable(self) -> int:
        """Slots that are neither used nor granted; reports that wait for their verdicts bound them, too."""
        if self.drain.has_begun:
            return 0
        slots, out = self._setup.slots, self._link.credit_out
        return max(0, min(slots - self._running - out, max(slots * 2, 10_000) - self._unacked - out))

    def _grantable_bytes(self) -> int:
        if self.drain.has_begun or self._setup.payload_bytes == 0:
            return 0
        return self._setup.payload_bytes - self._running_bytes - self._link.bytes_out

    def _grant(self) -> pb.Credit:
        jobs = self._grantable()
        # 0 would lift the bound; a byte too much is less than a job too much.
        size = 0 if self._setup.payload_bytes == 0 else max(1, self._grantable_bytes())
        self._link.credit_out += jobs
        self._link.bytes_out += size
        return pb.Credit(jobs=jobs, bytes=size)

    # What is to be sent next. Frames are made when there is room to send them, so that all that
    # waits travels together and nothing queues outside of this state.

    def next_frame(self, now: float) -> pb.SessionRequest | None:
        """The most urgent frame, if any. Signs of life and cancels before reports, reports before
        room for more jobs, progress and logs last: a chatty job never delays a report."""
        if not self._link.is_up:
            return None
        return (
            self._control_frame(now)
            or self._last_words_frame()
            or self._report_frame(now)
            or self._credit_frame()
            or self._progress_frame(now)
            or self._side_frame()
        )

    def _control_frame(self, now: float) -> pb.SessionRequest | None:
        link = self._link
        if self.drain.has_begun and not link.drain_sent:
            link.drain_sent = True
            return pb.SessionRequest(drain=pb.Drain())
        if now >= link.next_ping:
            link.next_ping = now + self._ping_interval
            self._ping_nonce += 1
            return pb.SessionRequest(ping=pb.Ping(nonce=self._ping_nonce))
        if link.cancel_acks:
            leases = [link.cancel_acks.popleft() for _ in range(min(MAX_ITEMS, len(link.cancel_acks)))]
            return pb.SessionRequest(cancel_ack=pb.CancelAck(leases=leases))
        if link.received_due:
            link.received_due = False
            return pb.SessionRequest(received=pb.Received(assign_seq=link.last_assign_seq))
        return None

    def _last_words_frame(self) -> pb.SessionRequest | None:
        last_words = self._link.last_words
        while last_words:
            held = self._held.get(last_words[0])
            lines = held.log.take(True) if held is not None else []
            if held is not None and lines:
                return pb.SessionRequest(log=pb.LogBatch(lease=held.lease, lines=lines))
            last_words.popleft()
            if held is not None and held.progress is not None:
                item = pb.ProgressItem(lease=held.lease, progress=held.progress)
                held.progress = None
                return pb.SessionRequest(progress=pb.ProgressReport(items=[item]))
        return None

    def _report_frame(self, now: float) -> pb.SessionRequest | None:
        link = self._link
        items: list[pb.ReportItem] = []
        size = 0
        while link.reports and len(items) < MAX_ITEMS and size < MAX_REPORT_BYTES:
            held = self._held.get(link.reports.popleft())
            if held is not None and held.report is not None:
                items.append(held.report)
                size += len(held.report.succeeded.result) + len(held.report.failed.error.message)
        if not items:
            return None
        if link.in_flight == 0:
            link.waits_since = now
        link.in_flight += len(items)
        return pb.SessionRequest(report=pb.Report(items=items))

    def _credit_frame(self) -> pb.SessionRequest | None:
        if self._grantable() <= 0 and self._grantable_bytes() <= 0:
            return None
        return pb.SessionRequest(credit=self._grant())

    def _progress_frame(self, now: float) -> pb.SessionRequest | None:
        link = self._link
        if not link.progress or now < link.last_progress + PROGRESS_INTERVAL_S:
            return None
        items: list[pb.ProgressItem] = []
        for _ in range(min(MAX_ITEMS, len(link.progress))):
            held = self._held.get(link.progress.popleft())
            if held is None:
                continue
            held.is_in_progress = False
            if held.progress is not None:
                items.append(pb.ProgressItem(lease=held.lease, progress=held.progress))
            held.progress = None
        # The interval begins when the last of this round is out.
        if not link.progress:
            link.last_progress = now
        return pb.SessionRequest(progress=pb.ProgressReport(items=items)) if items else None

    def _side_frame(self) -> pb.SessionRequest | None:
        """A checkpoint, a piece of output or a batch of log lines; attempts take turns."""
        side = self._link.side
        while side:
            no = side.popleft()
            held = self._held.get(no)
            if held is None:
                continue
            if held.checkpoint is not None and not held.checkpoint.is_sent:
                held.checkpoint.is_sent = True
                side.appendleft(no)
                pending = held.checkpoint
                made = pb.Checkpoint(lease=held.lease, data=pending.data, seq=pending.seq)
                return pb.SessionRequest(checkpoint=made)
            if held.output is not None and not held.output.is_sent:
                held.output.is_sent = True
                side.append(no)
                piece = pb.Output(lease=held.lease, offset=held.output.offset, data=held.output.data)
                return pb.SessionRequest(output=piece)
            lines = held.log.take(False)
            if lines:
                side.append(no)
                return pb.SessionRequest(log=pb.LogBatch(lease=held.lease, lines=lines))
            held.is_in_side = False
        return None

    def _queue_side(self, held: Held) -> None:
        link = self._link
        if not link.is_up:
            return
        if held.has_side_to_send() and not held.is_in_side:
            held.is_in_side = True
            link.side.append(held.no)
        if held.progress is not None and not held.is_in_progress:
            held.is_in_progress = True
            link.progress.append(held.no)

    # What a drain asks and does.

    def has_arrived(self) -> bool:
        """Without a stream nothing can arrive; what was assigned and not received goes back by itself."""
        link = self._link
        return not link.is_up or (link.drain_acked is not None and link.last_assign_seq >= link.drain_acked)

    def unreported(self) -> int:
        held = self._held.values()
        return sum(1 for one in held if one.is_running and one.is_lease_live and one.report is None)

    def unacked(self) -> int:
        return self._unacked

    def cancel_running(self) -> None:
        for held in self._held.values():
            if held.is_running:
                self._handlers.cancel(held.no)

    def release_rest(self) -> None:
        for held in self._held.values():
            if held.is_running and held.report is None:
                self._handlers.abandon(held.no)
                if held.is_lease_live:
                    self._report(held, Release())
