"""The frames that a session sends, in the order of their urgency, and the credit that it grants. A frame is created
only when the connection accepts one, so that unsent data stays in the state, where it can be merged."""

from .._proto.sentinel.workers.v1 import worker_service_pb2 as pb
from .constants import MAX_ITEMS, MAX_REPORT_BYTES, PROGRESS_INTERVAL_S
from .drain import Drain
from .held_attempt import HeldAttempt
from .interfaces import SessionConfig
from .stream_state import StreamState

DEFAULT_PING_INTERVAL_S = 2.0


class OutgoingFrames:
    """The part of the session state from which frames are created."""

    drain: Drain

    def __init__(self, config: SessionConfig, now: float) -> None:
        self._config = config
        self._ping_interval = DEFAULT_PING_INTERVAL_S
        self._ping_nonce = 0
        self._held: dict[int, HeldAttempt] = {}
        self._running = 0
        self._running_bytes = 0
        self._unsettled_reports = 0
        self._stream = StreamState(now, now)

    # Credit.

    def _available_slots(self) -> int:
        """Slots that are neither used nor granted. Unsettled reports reduce them too, so that this process does
        not grow while the store commits nothing."""
        if self.drain.has_started:
            return 0
        slots, granted = self._config.slots, self._stream.granted_slots
        by_slots = slots - self._running - granted
        by_reports = max(slots * 2, 10_000) - self._unsettled_reports - granted
        return max(0, min(by_slots, by_reports))

    def _available_bytes(self) -> int:
        if self.drain.has_started or self._config.max_payload_bytes == 0:
            return 0
        return self._config.max_payload_bytes - self._running_bytes - self._stream.granted_bytes

    def _grant_credit(self) -> pb.Credit:
        jobs = self._available_slots()
        # At least 1, because 0 would mean unlimited.
        size = 0 if self._config.max_payload_bytes == 0 else max(1, self._available_bytes())
        self._stream.granted_slots += jobs
        self._stream.granted_bytes += size
        return pb.Credit(jobs=jobs, bytes=size)

    def next_frame(self, now: float) -> pb.SessionRequest | None:
        """The most urgent frame, if any: heartbeats and cancel acknowledgements first, then reports, then credit,
        then progress, checkpoints, output and logs. A handler that logs a lot never delays a report."""
        if not self._stream.is_open:
            return None
        return (
            self._control_frame(now)
            or self._final_data_frame()
            or self._report_frame(now)
            or self._credit_frame()
            or self._progress_frame(now)
            or self._data_frame()
        )

    def _control_frame(self, now: float) -> pb.SessionRequest | None:
        stream = self._stream
        if self.drain.has_started and not stream.drain_sent:
            stream.drain_sent = True
            return pb.SessionRequest(drain=pb.Drain())
        if now >= stream.next_ping:
            stream.next_ping = now + self._ping_interval
            self._ping_nonce += 1
            return pb.SessionRequest(ping=pb.Ping(nonce=self._ping_nonce))
        if stream.cancel_acks:
            leases = [stream.cancel_acks.popleft() for _ in range(min(MAX_ITEMS, len(stream.cancel_acks)))]
            return pb.SessionRequest(cancel_ack=pb.CancelAck(leases=leases))
        if stream.received_due:
            stream.received_due = False
            return pb.SessionRequest(received=pb.Received(assign_seq=stream.last_assign_seq))
        return None

    def _final_data_frame(self) -> pb.SessionRequest | None:
        queue = self._stream.final_data
        while queue:
            held = self._held.get(queue[0])
            lines = held.log.take(True) if held is not None else []
            if held is not None and lines:
                return pb.SessionRequest(log=pb.LogBatch(lease=held.lease, lines=lines))
            queue.popleft()
            if held is not None and held.progress is not None:
                item = pb.ProgressItem(lease=held.lease, progress=held.progress)
                held.progress = None
                return pb.SessionRequest(progress=pb.ProgressReport(items=[item]))
        return None

    def _report_frame(self, now: float) -> pb.SessionRequest | None:
        stream = self._stream
        items: list[pb.ReportItem] = []
        size = 0
        while stream.reports and len(items) < MAX_ITEMS and size < MAX_REPORT_BYTES:
            held = self._held.get(stream.reports.popleft())
            if held is not None and held.report is not None:
                items.append(held.report)
                error = held.report.failed.error
                size += len(held.report.succeeded.result) + len(error.message) + len(error.detail)
        if not items:
            return None
        if stream.unacked_reports == 0:
            stream.last_report_ack = now
        stream.unacked_reports += len(items)
        return pb.SessionRequest(report=pb.Report(items=items))

    def _credit_frame(self) -> pb.SessionRequest | None:
        if self._available_slots() <= 0 and self._available_bytes() <= 0:
            return None
        return pb.SessionRequest(credit=self._grant_credit())

    def _progress_frame(self, now: float) -> pb.SessionRequest | None:
        stream = self._stream
        if not stream.progress or now < stream.last_progress + PROGRESS_INTERVAL_S:
            return None
        items: list[pb.ProgressItem] = []
        for _ in range(min(MAX_ITEMS, len(stream.progress))):
            held = self._held.get(stream.progress.popleft())
            if held is None:
                continue
            held.is_progress_queued = False
            if held.progress is not None:
                items.append(pb.ProgressItem(lease=held.lease, progress=held.progress))
            held.progress = None
        # The interval starts when the queue is empty, so one round may need several frames.
        if not stream.progress:
            stream.last_progress = now
        return pb.SessionRequest(progress=pb.ProgressReport(items=items)) if items else None

    def _data_frame(self) -> pb.SessionRequest | None:
        """A checkpoint, an output chunk or a batch of log lines. Attempts are served round robin."""
        queue = self._stream.data
        while queue:
            local_id = queue.popleft()
            held = self._held.get(local_id)
            if held is None:
                continue
            if held.checkpoint is not None and not held.checkpoint.is_sent:
                held.checkpoint.is_sent = True
                queue.appendleft(local_id)
                pending = held.checkpoint
                checkpoint = pb.Checkpoint(lease=held.lease, data=pending.data, seq=pending.seq)
                return pb.SessionRequest(checkpoint=checkpoint)
            if held.output is not None and not held.output.is_sent:
                held.output.is_sent = True
                queue.append(local_id)
                chunk = pb.Output(lease=held.lease, offset=held.output.offset, data=held.output.data)
                return pb.SessionRequest(output=chunk)
            lines = held.log.take(False)
            if lines:
                queue.append(local_id)
                return pb.SessionRequest(log=pb.LogBatch(lease=held.lease, lines=lines))
            held.is_data_queued = False
        return None

    def _queue_data(self, held: HeldAttempt) -> None:
        stream = self._stream
        if not stream.is_open:
            return
        if held.has_unsent_data() and not held.is_data_queued:
            held.is_data_queued = True
            stream.data.append(held.local_id)
        if held.progress is not None and not held.is_progress_queued:
            held.is_progress_queued = True
            stream.progress.append(held.local_id)
