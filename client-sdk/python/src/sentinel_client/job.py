"""The job to enqueue, and the state and the result of a job."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal, TypeVar

from google.protobuf.message import Message

from ._ids import canonical_ids
from ._json import JsonError, decode_json, encode_json
from ._proto.sentinel.jobs.v1 import job_pb2
from ._request import build, choose
from ._text import type_name
from ._time import wire_duration, wire_timestamp
from .errors import InvalidArgumentError

Wire = TypeVar("Wire", bound=Message)

_TERMINAL = frozenset(
    {
        job_pb2.JOB_STATE_SUCCEEDED,
        job_pb2.JOB_STATE_FAILED,
        job_pb2.JOB_STATE_CANCELLED,
        job_pb2.JOB_STATE_EXPIRED,
    }
)

_BACKOFF = {
    "fixed": job_pb2.BACKOFF_KIND_FIXED,
    "exponential": job_pb2.BACKOFF_KIND_EXPONENTIAL,
}
_JITTER = {"none": job_pb2.JITTER_NONE, "full": job_pb2.JITTER_FULL}
_SCOPE = {"kind": job_pb2.UNIQUE_SCOPE_KIND, "queue": job_pb2.UNIQUE_SCOPE_QUEUE}
_MODE = {
    "return_existing": job_pb2.UNIQUE_MODE_RETURN_EXISTING,
    "reject": job_pb2.UNIQUE_MODE_REJECT,
    "replace_pending": job_pb2.UNIQUE_MODE_REPLACE_PENDING,
    "debounce": job_pb2.UNIQUE_MODE_DEBOUNCE,
}
_DEPENDENCY_FAILURE = {
    "cancel": job_pb2.DEPENDENCY_FAILURE_POLICY_CANCEL,
    "run": job_pb2.DEPENDENCY_FAILURE_POLICY_RUN,
}
_LOST = {"retry": job_pb2.LOST_POLICY_RETRY, "fail": job_pb2.LOST_POLICY_FAIL}
_ACK = {
    "store": job_pb2.ACK_LEVEL_STORE,
    "replicated": job_pb2.ACK_LEVEL_REPLICATED,
    "ledger": job_pb2.ACK_LEVEL_LEDGER,
}


STATES = {
    "scheduled": job_pb2.JOB_STATE_SCHEDULED,
    "blocked": job_pb2.JOB_STATE_BLOCKED,
    "ready": job_pb2.JOB_STATE_READY,
    "running": job_pb2.JOB_STATE_RUNNING,
    "succeeded": job_pb2.JOB_STATE_SUCCEEDED,
    "failed": job_pb2.JOB_STATE_FAILED,
    "cancelled": job_pb2.JOB_STATE_CANCELLED,
    "expired": job_pb2.JOB_STATE_EXPIRED,
}
"""The states by name."""


def is_terminal(state: int) -> bool:
    """Whether `state` is terminal: the job has finished and only a retry changes its state."""
    return state in _TERMINAL


def result_text(job: job_pb2.Job) -> str:
    """The result of a job as text."""
    return job.result.decode()


def result_json(job: job_pb2.Job) -> Any:
    """The result of a job, parsed as JSON. An empty result is `None`."""
    return decode_json(job.result)


@dataclass(frozen=True, kw_only=True)
class RetryPolicy:
    """How failed attempts are retried. The server sets a default for each field that is not given."""

    max_attempts: int = 0
    """The limit of attempts per run, the first one included. Default 3, range 1..1000."""
    backoff: Literal["fixed", "exponential"] = "exponential"
    """How the delay grows."""
    base: timedelta | None = None
    """The first delay. Default 1 s, range 1 ms..24 h."""
    cap: timedelta | None = None
    """The longest delay. Default 10 min, range base..30 d."""
    jitter: Literal["none", "full"] = "full"
    """Whether delays are random, between 0 and the computed one."""

    def _to_wire(self) -> job_pb2.RetryPolicy:
        backoff = choose("job.retry.backoff", self.backoff, _BACKOFF)
        jitter = choose("job.retry.jitter", self.jitter, _JITTER)
        max_attempts = self.max_attempts
        wire = build(job_pb2.RetryPolicy, "job.retry", max_attempts=max_attempts, backoff=backoff, jitter=jitter)
        for name in ("base", "cap"):
            if (duration := getattr(self, name)) is not None:
                getattr(wire, name).CopyFrom(_converted(f"job.retry.{name}", duration, wire_duration))
        return wire


@dataclass(frozen=True, kw_only=True)
class Unique:
    """A unique key, which prevents duplicate jobs."""

    key: str
    """The key. 1..256 bytes."""
    scope: Literal["kind", "queue"] = "kind"
    """Whether the key is unique among the jobs of the same kind in the queue, or of the whole queue."""
    mode: Literal["return_existing", "reject", "replace_pending", "debounce"] = "return_existing"
    """What an enqueue does while another job holds the key."""
    ttl: timedelta | None = None
    """How long a job holds the key. Default: until it is terminal. Range 1 s..30 d."""

    def _to_wire(self) -> job_pb2.Unique:
        scope = choose("job.unique.scope", self.scope, _SCOPE)
        mode = choose("job.unique.mode", self.mode, _MODE)
        wire = build(job_pb2.Unique, "job.unique", key=self.key, scope=scope, mode=mode)
        if self.ttl is not None:
            wire.ttl.CopyFrom(_converted("job.unique.ttl", self.ttl, wire_duration))
        return wire


@dataclass(frozen=True, kw_only=True)
class NewJob:
    """A job to enqueue."""

    kind: str
    """The kind, which selects the handler. 1..128 characters of [A-Za-z0-9._-]."""
    payload: object = None
    """The handler's input: bytes are sent unchanged, anything else as JSON, also dataclasses, pydantic models,
    enums, times and UUIDs. At most 1 MiB. NaN, infinity and lone surrogates have no JSON and are refused."""
    queue: str = "default"
    """The queue. 1..128 characters of [A-Za-z0-9._-]."""
    content_type: str | None = None
    """The media type of the payload. Default application/json, for bytes application/octet-stream."""
    priority: int = 0
    """The priority, 0..9; jobs with a higher one start first."""
    run_at: datetime | None = None
    """The earliest start time. At most 366 days ahead. Excludes `delay`."""
    delay: timedelta | None = None
    """The delay of the start after the enqueue. Excludes `run_at`."""
    start_deadline: datetime | None = None
    """The latest start time. A job that has not started by then becomes EXPIRED."""
    run_timeout: timedelta | None = None
    """The limit of one attempt's duration. 1 ms..30 d."""
    retry: RetryPolicy | None = None
    """How failed attempts are retried."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """Labels, which lists and watches can filter by. At most 16."""
    unique: Unique | None = None
    """A unique key, which prevents duplicate jobs."""
    depends_on: Sequence[str] = ()
    """Ids of jobs that must be terminal before this job starts. At most 100."""
    on_dependency_failure: Literal["cancel", "run"] | None = None
    """What happens when a dependency does not succeed. Default cancel."""
    on_lost: Literal["retry", "fail"] | None = None
    """What happens when the worker that runs the job is lost. Default retry."""
    traceparent: str = ""
    """The W3C traceparent of the caller. It is stored with the job and sent as call metadata."""
    cancel_grace: timedelta | None = None
    """How long a running handler may continue after a cancel. 0..1 h. Default 30 s."""
    ack: Literal["store", "replicated", "ledger"] | None = None
    """The durability level that a change must reach before it is acknowledged. Default: the server's
    setting."""

    def to_spec(self) -> job_pb2.JobSpec:
        """Converts the job into a JobSpec. Raises `InvalidArgumentError` with the name of the field."""
        is_bytes = isinstance(self.payload, bytes | bytearray | memoryview)
        spec = build(
            job_pb2.JobSpec,
            "job",
            queue=self.queue,
            kind=self.kind,
            payload=encode_payload(self.payload),
            content_type=self.content_type or ("application/octet-stream" if is_bytes else "application/json"),
            priority=self.priority,
            labels=self.labels,
            depends_on=canonical_ids(self.depends_on),
            traceparent=self.traceparent,
        )
        for name in ("delay", "run_timeout", "cancel_grace"):
            if (duration := getattr(self, name)) is not None:
                getattr(spec, name).CopyFrom(_converted(f"job.{name}", duration, wire_duration))
        for name in ("run_at", "start_deadline"):
            if (time := getattr(self, name)) is not None:
                getattr(spec, name).CopyFrom(_converted(f"job.{name}", time, wire_timestamp))
        for name, allowed in (
            ("on_dependency_failure", _DEPENDENCY_FAILURE),
            ("on_lost", _LOST),
            ("ack", _ACK),
        ):
            if (text := getattr(self, name)) is not None:
                setattr(spec, name, choose(f"job.{name}", text, allowed))
        if self.retry is not None:
            spec.retry.CopyFrom(self.retry._to_wire())
        if self.unique is not None:
            spec.unique.CopyFrom(self.unique._to_wire())
        return spec


def encode_payload(payload: object) -> bytes:
    """The bytes of a payload. Raises `InvalidArgumentError` with the path of a part that has no JSON."""
    if payload is None:
        return b""
    try:
        if isinstance(payload, bytes | bytearray | memoryview):
            return bytes(payload)
        return encode_json(payload, "payload")
    except JsonError as error:
        raise InvalidArgumentError(str(error)) from error
    except ValueError as error:
        raise InvalidArgumentError(f"payload: {type_name(payload)} cannot be read: {error}") from error


def _converted(name: str, value: Any, convert: Callable[[Any], Wire]) -> Wire:
    try:
        return convert(value)
    except (TypeError, ValueError, AttributeError, OverflowError) as error:
        raise InvalidArgumentError(f"invalid {name}: {value!r:.200}: {error}") from error
