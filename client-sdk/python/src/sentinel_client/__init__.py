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
from .worker import Cancelled, CheckpointError, Handler, HandlerError, JobContext, OutputError, Release, Snooze, Worker

__all__ = [
    "ApiError",
    "CallTimeoutError",
    "Cancelled",
    "CheckpointError",
    "Client",
    "EnqueueResult",
    "FieldViolation",
    "Handler",
    "HandlerError",
    "InvalidArgumentError",
    "JobContext",
    "NewJob",
    "OutputError",
    "ProtocolError",
    "Release",
    "RetryPolicy",
    "SentinelError",
    "Snooze",
    "TlsConfig",
    "TransportError",
    "Unique",
    "WatchStream",
    "Worker",
    "is_terminal",
    "result_json",
    "result_text",
]
