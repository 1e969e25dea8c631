"""The rules of a worker's session, without I/O: which attempts this process holds, how much credit it has
granted, which frames to send now and which again after a reconnect. The clock is an argument.

An attempt is held from its assignment until its handler has finished and its report is settled. Running
handlers are counted until they finish, including those that lost their lease, since they still use the
machine.
"""

import random
import time
from collections.abc import Callable, Sequence

from .._proto.sentinel.jobs.v1 import job_pb2
from .._proto.sentinel.workers.v1 import worker_service_pb2 as pb
from .._time import duration_s, wire_timestamp
from ..errors import ProtocolError
from .constants import (
    ABANDON_GRACE_S,
    ACK_TIMEOUT_S,
    MAX_AWAITING_LOG_ACK,
    MAX_CANCEL_ACKS,
    PROGRESS_INTERVAL_S,
    RESEND,
    SILENCE_TIMEOUT_S,
)
from .drain import Drain
from .held_attempt import HeldAttempt, LeaseKey, PendingCheckpoint, PendingChunk, lease_key
from .interfaces import Handlers, SessionConfig
from .outcome import Cancelled, HandlerOutcome, Release, reported_outcome, set_outcome, timed_out
from .outgoing import DEFAULT_PING_INTERVAL_S, OutgoingFrames
from .stream_state import StreamState
from .timers import Timers

# The range to which the server's ping interval is clamped.
_MIN_PING_INTERVAL_S = 0.01
_MAX_PING_INTERVAL_S = 60.0


class SessionState(OutgoingFrames):
    def __init__(
        self, config: SessionConfig, handlers: Handlers, now: float, random_unit: Callable[[], float] = random.random
    ) -> None:
        super().__init__(config, now)
        self._handlers = handlers
        self._random = random_unit
        self.drain = Drain(self)
        self._session = ""
        self._by_lease: dict[LeaseKey, HeldAttempt] = {}
        self._last_local_id = 0
        self._awaiting_log_ack = 0
        self._timers = Timers()

    @property
    def was_welcomed(self) -> bool:
        return self._session != ""

    # Streams.

    def disconnected(self, now: float) -> None:
        """Handles a closed stream. Unacknowledged data is sent again after the next Welcome."""
        self._stream = StreamState(now, now)
        for held in list(self._held.values()):
            held.rewind()
            if held.awaits_log_ack:
                if held.awaited_log_ack_at_reconnect:
                    self._remove(held)
                held.awaited_log_ack_at_reconnect = True

    def hello(self, now: float) -> pb.Hello:
        self.disconnected(now)
        leased = [held for held in self._held.values() if held.has_lease]
        self._stream.hello_held = [held.local_id for held in leased]
        config = self._config
        return pb.Hello(
            instance=config.instance,
            build=config.build_version,
            queues=config.queues,
            kinds=[
                pb.Kind(name=name, description=text, input_schema=config.input_schemas.get(name, ""))
                for name, text in config.kinds.items()
            ],
            labels=config.labels,
            session=self._session,
            held=[held.lease for held in leased],
            credit=self._grant_credit(),
        )

    def welcome(self, now: float, welcome: pb.Welcome) -> None:
        hello_held, self._stream.hello_held = self._stream.hello_held, []
        if len(welcome.held) != len(hello_held):
            raise ProtocolError("Welcome.held and Hello.held differ in length")
        if not welcome.session:
            raise ProtocolError("Welcome without a session")
        self._session = welcome.session
        ping = duration_s(welcome.ping) if welcome.HasField("ping") else DEFAULT_PING_INTERVAL_S
        self._ping_interval = min(max(ping, _MIN_PING_INTERVAL_S), _MAX_PING_INTERVAL_S)
        stream = self._stream
        stream.is_open = True
        stream.supports_output = "output" in welcome.capabilities
        stream.last_received = now
        stream.next_ping = now + self._ping_interval
        for local_id, verdict in zip(hello_held, welcome.held, strict=True):
            held = self._held.get(local_id)
            # KEEP needs no action. An unknown verdict is ignored: the one on the report follows.
            if held is None or verdict not in (pb.HELD_VERDICT_REVOKED, pb.HELD_VERDICT_ALREADY_RECORDED):
                continue
            if verdict == pb.HELD_VERDICT_REVOKED or held.is_running:
                self._lease_lost(now, held)
            else:
                self._report_settled(held)
        for held in self._held.values():
            self._queue_data(held)
            if held.report is not None:
                held.is_report_queued = True
                self._timers.clear(held.local_id, "resend")
                stream.reports.append(held.local_id)

    # Frames of the server. A frame may be repeated, late, or about an attempt that this process no longer
    # holds; none of these is an error.

    def frame(self, now: float, response: pb.SessionResponse) -> None:
        stream = self._stream
        stream.last_received = now
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
                stream.drain_acked = response.drain_ack.last_assign_seq
                self.drain.advance(now)
            case "go_away":
                stream.go_away_s = duration_s(response.go_away.reconnect_within)
            case _:
                # A frame of a newer protocol version.
                pass

    def take_go_away(self) -> float | None:
        """Returns, once per GoAway, the time within which the worker should switch to another server."""
        within_s, self._stream.go_away_s = self._stream.go_away_s, None
        return within_s

    def _assign(self, now: float, assign: pb.Assign) -> None:
        stream = self._stream
        stream.received_due = True
        if stream.last_assign_seq > 0 and assign.assign_seq <= stream.last_assign_seq:
            # A repeated frame: its attempts are held already, only the acknowledgement was lost.
            return
        stream.last_assign_seq = assign.assign_seq
        for item in assign.items:
            self._accept_assignment(now, item)
        self.drain.advance(now)

    def _accept_assignment(self, now: float, item: pb.Assignment) -> None:
        if not item.HasField("lease"):
            raise ProtocolError("an assignment without a lease")
        stream = self._stream
        had_credit = stream.granted_slots > 0
        stream.granted_slots = max(0, stream.granted_slots - 1)
        stream.granted_bytes -= len(item.payload)
        key = lease_key(item.lease)
        if key in self._by_lease:
            return
        # Jobs that arrive during a drain or beyond the granted credit are released, not started.
        starts = not self.drain.has_started and had_credit and self._running < self._config.slots
        self._last_local_id += 1
        run_timeout_s = duration_s(item.run_timeout) if item.HasField("run_timeout") else None
        held = HeldAttempt(self._last_local_id, item.lease, len(item.payload), run_timeout_s)
        self._held[held.local_id] = held
        self._by_lease[key] = held
        if not starts:
            self._report(held, Release())
            return
        held.is_running = True
        held.started_at_s = time.time()
        self._running += 1
        self._running_bytes += held.payload_bytes
        self._handlers.start(held.local_id, item)

    def _find(self, lease: pb.Lease) -> HeldAttempt | None:
        return self._by_lease.get(lease_key(lease))

    def report_ack(self, now: float, ack: pb.ReportAck) -> None:
        """Applies verdicts, including those that arrive on a stream that is being replaced."""
        self._stream.unacked_reports = max(0, self._stream.unacked_reports - len(ack.items))
        self._stream.last_report_ack = now
        for item in ack.items:
            held = self._find(item.lease)
            if held is None:
                continue
            if item.verdict in (pb.VERDICT_RECORDED, pb.VERDICT_DUPLICATE):
                self._report_settled(held)
            elif item.verdict == pb.VERDICT_FENCED:
                self._lease_lost(now, held)
            else:
                self._resend_later(now, held)
        self.drain.advance(now)

    def _resend_later(self, now: float, held: HeldAttempt) -> None:
        held.is_report_queued = False
        self._timers.set(held.local_id, "resend", now + RESEND.delay_s(held.resends, self._random()))
        held.resends += 1

    def _checkpoint_ack(self, now: float, ack: pb.CheckpointAck) -> None:
        held = self._find(ack.lease)
        if held is None or held.checkpoint is None or held.checkpoint.seq != ack.seq:
            return
        if ack.verdict in (pb.VERDICT_RECORDED, pb.VERDICT_DUPLICATE):
            held.checkpoint = None
            self._handlers.checkpoint_result(held.local_id, ack.seq, "stored")
        elif ack.verdict == pb.VERDICT_FENCED:
            self._lease_lost(now, held)
        else:
            self._resend_later(now, held)

    def _output_ack(self, now: float, ack: pb.OutputAck) -> None:
        held = self._find(ack.lease)
        if held is None or held.output is None or held.output.offset != ack.offset:
            return
        if ack.verdict in (pb.VERDICT_RECORDED, pb.VERDICT_DUPLICATE):
            is_stored = ack.stored >= ack.offset + len(held.output.data)
            held.output = None
            self._handlers.output_result(held.local_id, ack.offset, "stored" if is_stored else "rejected")
        elif ack.verdict == pb.VERDICT_FENCED:
            self._lease_lost(now, held)
        else:
            self._resend_later(now, held)

    def _log_ack(self, ack: pb.LogAck) -> None:
        held = self._find(ack.lease)
        if held is not None:
            held.log.ack(ack.seq)
            self._queue_data(held)
            self._remove_if_done(held)

    def _cancel(self, items: Sequence[pb.CancelItem]) -> None:
        for item in items:
            held = self._find(item.lease)
            if held is not None and held.has_lease and not held.is_cancel_requested:
                held.is_cancel_requested = True
                if held.is_running:
                    self._handlers.cancel(held.local_id)
            # Unknown and finished attempts are acknowledged too; otherwise the server would repeat the cancel.
            if len(self._stream.cancel_acks) < MAX_CANCEL_ACKS:
                self._stream.cancel_acks.append(item.lease)

    def revoked(self, now: float, revoked: pb.Revoked) -> None:
        """Handles leases that the server has revoked."""
        for lease in revoked.leases:
            held = self._find(lease)
            if held is not None:
                self._lease_lost(now, held)
        self.drain.advance(now)

    # Messages of handlers.

    def handler_started(self, now: float, local_id: int) -> None:
        """The run timeout starts when the handler does: while coroutines block the event loop, others wait for it."""
        held = self._held.get(local_id)
        if held is not None and held.is_running and held.has_lease and held.run_timeout_s is not None:
            self._timers.set(local_id, "run_timeout", now + held.run_timeout_s)

    def handler_finished(self, now: float, local_id: int, started_at_s: float | None, outcome: HandlerOutcome) -> None:
        held = self._held.get(local_id)
        if held is None or not held.is_running:
            return
        held.started_at_s = started_at_s or held.started_at_s
        held.is_running = False
        held.checkpoint = None
        held.output = None
        self._running -= 1
        self._running_bytes -= held.payload_bytes
        self._timers.clear(local_id, "run_timeout", "abandon")
        if not held.has_lease or held.report is not None:
            self._remove_if_done(held)
        else:
            outcome = reported_outcome(outcome, held.is_cancel_requested, self.drain.is_releasing)
            self._report(held, outcome)
        self.drain.advance(now)

    def progress(self, local_id: int, done: int, total: int, message: str) -> None:
        held = self._running_attempt(local_id)
        if held is not None:
            held.progress_seq += 1
            held.progress = job_pb2.Progress(seq=held.progress_seq, done=done, total=total, message=message)
            self._queue_data(held)

    def log(self, local_id: int, time_s: float, level: job_pb2.LogLevel, text: str) -> None:
        held = self._running_attempt(local_id)
        if held is not None:
            held.log.push(held.lease, time_s, level, text)
            self._queue_data(held)

    def checkpoint(self, local_id: int, seq: int, data: bytes) -> None:
        held = self._running_attempt(local_id)
        if held is None:
            self._handlers.checkpoint_result(local_id, seq, "fenced")
            return
        if held.checkpoint is not None:
            self._handlers.checkpoint_result(local_id, held.checkpoint.seq, "finished")
        held.checkpoint = PendingCheckpoint(seq, data)
        self._queue_data(held)

    def output(self, local_id: int, offset: int, data: bytes) -> None:
        held = self._running_attempt(local_id)
        if held is None:
            self._handlers.output_result(local_id, offset, "fenced")
        elif self._stream.is_open and not self._stream.supports_output:
            self._handlers.output_result(local_id, offset, "unsupported")
        else:
            held.output = PendingChunk(offset, data)
            self._queue_data(held)

    def _running_attempt(self, local_id: int) -> HeldAttempt | None:
        held = self._held.get(local_id)
        return held if held is not None and held.is_running and held.has_lease else None

    # Reports and lost leases.

    def _report(self, held: HeldAttempt, outcome: HandlerOutcome) -> None:
        if held.report is None:
            self._unsettled_reports += 1
        held.report = pb.ReportItem(lease=held.lease)
        if held.started_at_s is not None:
            held.report.started_at.CopyFrom(wire_timestamp(held.started_at_s))
        set_outcome(held.report, outcome)
        if not self._stream.is_open:
            return
        if held.log.has_unsent() or held.progress is not None:
            self._stream.final_data.append(held.local_id)
        held.is_report_queued = True
        self._stream.reports.append(held.local_id)

    def _lease_lost(self, now: float, held: HeldAttempt) -> None:
        """Handles a lost lease: cancels the handler and sends nothing more about the attempt."""
        if not held.has_lease:
            return
        held.has_lease = False
        held.progress = None
        held.log.clear()
        if held.checkpoint is not None:
            self._handlers.checkpoint_result(held.local_id, held.checkpoint.seq, "fenced")
        held.checkpoint = None
        if held.output is not None:
            self._handlers.output_result(held.local_id, held.output.offset, "fenced")
        held.output = None
        if held.report is not None:
            self._unsettled_reports -= 1
        held.report = None
        self._timers.clear(held.local_id, "run_timeout", "resend")
        if held.is_running:
            self._handlers.cancel(held.local_id)
            # A handler that ignores the cancel must not keep its slot forever.
            self._timers.set(held.local_id, "abandon", now + ABANDON_GRACE_S)
        self._remove_if_done(held)

    def _report_settled(self, held: HeldAttempt) -> None:
        """Handles a settled report. Only log lines may still be unacknowledged."""
        if held.report is None:
            return
        held.report = None
        self._unsettled_reports -= 1
        held.has_lease = False
        self._timers.clear(held.local_id, "resend")
        self._remove_if_done(held)

    def _remove_if_done(self, held: HeldAttempt) -> None:
        if held.is_running or held.report is not None or held.has_lease:
            return
        if held.log.is_empty() or (not held.awaits_log_ack and self._awaiting_log_ack >= MAX_AWAITING_LOG_ACK):
            self._remove(held)
        elif not held.awaits_log_ack:
            held.awaits_log_ack = True
            self._awaiting_log_ack += 1

    def _remove(self, held: HeldAttempt) -> None:
        if self._held.pop(held.local_id, None) is None:
            return
        self._timers.clear(held.local_id, "run_timeout", "abandon", "resend")
        if held.awaits_log_ack:
            self._awaiting_log_ack -= 1
        del self._by_lease[lease_key(held.lease)]

    # Timers.

    def advance(self, now: float) -> None:
        while (due := self._timers.take(now)) is not None:
            local_id, kind = due
            held = self._held.get(local_id)
            if held is None:
                continue
            if kind == "run_timeout":
                self._time_out(now, held)
            elif kind == "abandon":
                self._handlers.abandon(local_id)
                self.handler_finished(now, local_id, None, Release())
            else:
                self._resend(held)
        self.drain.advance(now)

    def _time_out(self, now: float, held: HeldAttempt) -> None:
        if not held.is_running or not held.has_lease or held.report is not None:
            return
        self._handlers.cancel(held.local_id)
        self._timers.set(held.local_id, "abandon", now + ABANDON_GRACE_S)
        self._report(held, Cancelled() if held.is_cancel_requested else timed_out(held.run_timeout_s or 0.0))

    def _resend(self, held: HeldAttempt) -> None:
        if not self._stream.is_open:
            return
        if held.report is not None and not held.is_report_queued:
            held.is_report_queued = True
            self._stream.reports.append(held.local_id)
        held.rewind_checkpoint_and_output()
        self._queue_data(held)

    def dead_reason(self, now: float) -> str | None:
        """Why the stream is considered dead, or `None`."""
        stream = self._stream
        if not stream.is_open:
            return None
        if now >= stream.last_received + self._silence_timeout():
            return "the server sent no frame within the silence timeout"
        if stream.unacked_reports > 0 and now >= stream.last_report_ack + ACK_TIMEOUT_S:
            return "the server acknowledged no report within the ack timeout"
        return None

    def _silence_timeout(self) -> float:
        """At least 2.5 ping intervals, so that a server with a long interval is not considered dead."""
        return max(SILENCE_TIMEOUT_S, self._ping_interval * 2.5)

    def next_wake(self) -> float:
        """The next time at which `advance`, `dead_reason` or `next_frame` may have a different result."""
        stream = self._stream
        wakes = [self._timers.next(), self.drain.until]
        if stream.is_open:
            wakes += [stream.last_received + self._silence_timeout(), stream.next_ping]
            if stream.unacked_reports > 0:
                wakes.append(stream.last_report_ack + ACK_TIMEOUT_S)
            if stream.progress:
                wakes.append(stream.last_progress + PROGRESS_INTERVAL_S)
        return min((wake for wake in wakes if wake is not None), default=float("inf"))

    # The drain.

    def all_received(self) -> bool:
        """Whether the server assigns nothing more and all assignments were received. Nothing arrives without a
        stream, and assignments that were lost with it go back to their queue."""
        stream = self._stream
        return not stream.is_open or (stream.drain_acked is not None and stream.last_assign_seq >= stream.drain_acked)

    def running_without_report(self) -> int:
        attempts = self._held.values()
        return sum(1 for held in attempts if held.is_running and held.has_lease and held.report is None)

    def unsettled_reports(self) -> int:
        return self._unsettled_reports

    def cancel_running(self) -> None:
        for held in self._held.values():
            if held.is_running:
                self._handlers.cancel(held.local_id)

    def release_running(self) -> None:
        for held in self._held.values():
            if held.is_running and held.report is None:
                self._handlers.abandon(held.local_id)
                if held.has_lease:
                    self._report(held, Release())
