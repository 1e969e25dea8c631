"""The Python SDK of the Sentinel job orchestrator: a client and a worker runtime."""

from ._endpoint import TlsConfig
from .client import Client, EnqueueResult
from .errors import (
    ApiError,
    CallTimeoutError,
    FieldViolation,
    InvalidArgumentError,
    JobNotSucceededError,
    ProtocolError,
    SentinelError,
    TransportError,
)
from .job import NewJob, RetryPolicy, Unique, is_terminal, result_json, result_text
from .queues import Queues
from .sync import SyncClient
from .typed import JobHandle, JobType, TypedHandler, define_job
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
    "JobHandle",
    "JobNotSucceededError",
    "JobStarted",
    "JobType",
    "NewJob",
    "OutputError",
    "ProtocolError",
    "Queues",
    "Release",
    "RetryPolicy",
    "SentinelError",
    "SessionLost",
    "SessionOpened",
    "Snooze",
    "SyncClient",
    "TlsConfig",
    "TransportError",
    "TypedHandler",
    "Unique",
    "WatchStream",
    "Worker",
    "WorkerEvent",
    "define_job",
    "is_terminal",
    "result_json",
    "result_text",
]
