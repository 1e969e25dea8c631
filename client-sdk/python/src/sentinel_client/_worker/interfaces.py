"""The interfaces between handlers, session state and session stream."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from .._endpoint import Endpoint, TlsConfig
from .._proto.sentinel.workers.v1 import worker_service_pb2 as pb
from .events import Events, WorkerEvent

CheckpointResult = Literal["stored", "fenced", "finished"]
OutputResult = Literal["stored", "fenced", "rejected", "unsupported"]


@dataclass(frozen=True)
class SessionConfig:
    """The settings of a session."""

    endpoints: Sequence[Endpoint]
    credential: str | None
    tls: TlsConfig | None
    instance: str
    build_version: str
    queues: Sequence[str]
    kinds: Mapping[str, str]
    """The descriptions by kind."""
    labels: Mapping[str, str]
    slots: int
    """The limit of jobs that run at the same time."""
    max_payload_bytes: int
    """The soft limit of payload bytes of running jobs. 0 means unlimited."""
    drain_timeout_s: float
    on_event: Callable[[WorkerEvent], None] | None = None
    """Called with each event of the worker."""
    input_schemas: Mapping[str, str] = field(default_factory=dict)
    """The JSON Schemas of payloads by kind."""


class Handlers(Protocol):
    """What the session state requests from the handlers. Called under the session's lock."""

    events: Events

    def start(self, local_id: int, assignment: pb.Assignment) -> None: ...

    def cancel(self, local_id: int) -> None: ...

    def abandon(self, local_id: int) -> None:
        """The result of this handler is ignored from now on."""

    def checkpoint_result(self, local_id: int, seq: int, result: CheckpointResult) -> None: ...

    def output_result(self, local_id: int, offset: int, result: OutputResult) -> None: ...
