"""The job to enqueue, and the state and the result of a job."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal

from ._proto.sentinel.jobs.v1 import job_pb2
from ._time import wire_duration, wire_timestamp

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


def is_terminal(state: int) -> bool:
    """Whether `state` is terminal: the job has finished and only a retry changes its state."""
    return state in _TERMINAL


def result_text(job: job_pb2.Job) -> str:
    """The result of a job as text."""
    return job.result.decode()


def result_json(job: job_pb2.Job) -> Any:
    """The result of a job, parsed as JSON. An empty result is `None`."""
    return json.loads(job.result or b"null")


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


@dataclass(frozen=True, kw_only=True)
class NewJob:
    """A job to enqueue."""

    kind: str
    """The kind, which selects the handler. 1..128 characters of [A-Za-z0-9._-]."""
    payload: object = None
    """The handler's input: bytes are sent unchanged, anything else as JSON. At most 1 MiB."""
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
        """Converts the job into a JobSpec."""
        is_bytes = isinstance(self.payload, bytes | bytearray | memoryview)
        content = b"" if self.payload is None else self.payload
        spec = job_pb2.JobSpec(
            queue=self.queue,
            kind=self.kind,
            payload=bytes(content)
            if isinstance(content, bytes | bytearray | memoryview)
            else json.dumps(content).encode(),
            content_type=self.content_type or ("application/octet-stream" if is_bytes else "application/json"),
            priority=self.priority,
            labels=self.labels,
            depends_on=self.depends_on,
            traceparent=self.traceparent,
        )
        for name in ("delay", "run_timeout", "cancel_grace"):
            if (duration := getattr(self, name)) is not None:
                getattr(spec, name).CopyFrom(wire_duration(duration))
        for name in ("run_at", "start_deadline"):
            if (time := getattr(self, name)) is not None:
                getattr(spec, name).CopyFrom(wire_timestamp(time))
        if self.on_dependency_failure is not None:
            spec.on_dependency_failure = _DEPENDENCY_FAILURE[self.on_dependency_failure]
        if self.on_lost is not None:
            spec.on_lost = _LOST[self.on_lost]
        if self.ack is not None:
            spec.ack = _ACK[self.ack]
        self._set_retry(spec)
        self._set_unique(spec)
        return spec

    def _set_retry(self, spec: job_pb2.JobSpec) -> None:
        retry = self.retry
        if retry is None:
            return
        spec.retry.max_attempts = retry.max_attempts
        spec.retry.backoff = _BACKOFF[retry.backoff]
        spec.retry.jitter = _JITTER[retry.jitter]
        if retry.base is not None:
            spec.retry.base.CopyFrom(wire_duration(retry.base))
        if retry.cap is not None:
            spec.retry.cap.CopyFrom(wire_duration(retry.cap))

    def _set_unique(self, spec: job_pb2.JobSpec) -> None:
        unique = self.unique
        if unique is None:
            return
        spec.unique.key = unique.key
        spec.unique.scope = _SCOPE[unique.scope]
        spec.unique.mode = _MODE[unique.mode]
        if unique.ttl is not None:
            spec.unique.ttl.CopyFrom(wire_duration(unique.ttl))
