"""Client and worker runtime of the Sentinel job orchestrator."""

from ._wire import Tls
from .client import Client, Enqueued
from .errors import (
    ApiError,
    CallTimeoutError,
    FieldViolation,
    InvalidArgumentError,
    ProtocolError,
    SentinelError,
    TransportError,
)
from .job import NewJob, RetryPolicy, Unique, is_final, result_json
from .watch import Watch
from .worker import Cancelled, CheckpointError, Handler, HandlerError, Job, OutputError, Release, Snooze, Worker

__all__ = [
    "ApiError",
    "CallTimeoutError",
    "Cancelled",
    "CheckpointError",
    "Client",
    "Enqueued",
    "FieldViolation",
    "Handler",
    "HandlerError",
    "InvalidArgumentError",
    "Job",
    "NewJob",
    "ProtocolError",
    "OutputError",
    "Release",
    "RetryPolicy",
    "SentinelError",
    "Snooze",
    "Tls",
    "TransportError",
    "Unique",
    "Watch",
    "Worker",
    "is_final",
    "result_json",
]
