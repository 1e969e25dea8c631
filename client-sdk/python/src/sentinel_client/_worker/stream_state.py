"""The state of one stream of a session."""

from collections import deque
from dataclasses import dataclass, field

from .._proto.sentinel.workers.v1 import worker_service_pb2 as pb


@dataclass
class StreamState:
    """The state of one stream. The next Hello creates a new one."""

    last_received: float
    # The time of the last acknowledgement of a report.
    last_report_ack: float
    # Whether Welcome was received.
    is_open: bool = False
    supports_output: bool = False
    # The attempts in Hello.held, in its order, which is also the order of the verdicts.
    hello_held: list[int] = field(default_factory=list)
    # Slots granted and not yet used by assignments.
    granted_slots: int = 0
    # Payload bytes granted, less the payloads that were assigned.
    granted_bytes: int = 0
    last_assign_seq: int = 0
    received_due: bool = False
    cancel_acks: deque[pb.Lease] = field(default_factory=deque)
    reports: deque[int] = field(default_factory=deque)
    # Attempts with log lines, a checkpoint or output to send.
    data: deque[int] = field(default_factory=deque)
    # Finished attempts whose last log lines and progress are sent before their reports.
    final_data: deque[int] = field(default_factory=deque)
    progress: deque[int] = field(default_factory=deque)
    last_progress: float = float("-inf")
    # Reports sent and not acknowledged.
    unacked_reports: int = 0
    next_ping: float = 0.0
    drain_sent: bool = False
    drain_acked: int | None = None
    go_away_s: float | None = None
