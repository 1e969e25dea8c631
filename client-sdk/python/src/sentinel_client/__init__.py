"""The Python SDK of the Sentinel job orchestrator: a client and a worker runtime."""

from ._endpoint import TlsConfig
from .client import Client, EnqueueResult
from .errors import (
    ApiError,
    CallTimeoutError,
    FieldViolation,
    InvalidArgumentError,
    ProtocolError,
    SentinelError,
    TransportError,
)
from .job import NewJob, RetryPolicy, Unique, is_terminal, result_json, result_text
from .watch import WatchStream
from .worker import (
    Cancelled,
    CheckpointError,
    DrainStarted,
    Handler,
    HandlerError,
    JobContext,
    JobFinished,
    JobStarted,
    OutputError,
    Release,
    SessionLost,
    SessionOpened,
    Snooze,
    Worker,
    WorkerEvent,
)

__all__ = [
    "ApiError",
    "CallTimeoutError",
    "Cancelled",
    "CheckpointError",
    "Client",
    "DrainStarted",
    "EnqueueResult",
    "FieldViolation",
    "Handler",
    "HandlerError",
    "InvalidArgumentError",
    "JobContext",
    "JobFinished",
    "JobStarted",
    "NewJob",
    "OutputError",
    "ProtocolError",
    "Release",
    "RetryPolicy",
    "SentinelError",
    "SessionLost",
    "SessionOpened",
    "Snooze",
    "TlsConfig",
    "TransportError",
    "Unique",
    "WatchStream",
    "Worker",
    "WorkerEvent",
    "is_terminal",
    "result_json",
    "result_text",
]
