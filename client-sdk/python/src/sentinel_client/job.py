"""What to enqueue, and what a job's record says."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal

from ._proto.sentinel.jobs.v1 import job_pb2
from ._wire import wire_duration, wire_timestamp

_FINAL = frozenset(
    {
        job_pb2.JOB_STATE_SUCCEEDED,
        job_pb2.JOB_STATE_FAILED,
        job_pb2.JOB_STATE_CANCELLED,
        job_pb2.JOB_STATE_EXPIRED,
    }
)


def is_final(state: int) -> bool:
    """Nothing but a retry moves a job out of these."""
    return state in _FINAL


def result_json(job: job_pb2.Job) -> Any:
    """What the handler returned, as JSON; nothing reads as `None`."""
    return json.loads(job.result or b"null")


@dataclass(frozen=True, kw_only=True)
class RetryPolicy:
    """What happens after a failed attempt. What is not set is as the server has it."""

    max_attempts: int = 0
    backoff: Literal["fixed", "exponential"] = "exponential"
    base: timedelta | None = None
    cap: timedelta | None = None
    jitter: Literal["none", "full"] = "full"


@dataclass(frozen=True, kw_only=True)
class Unique:
    """Keeps a second job for the same work away."""

    key: str
    scope: Literal["kind", "queue"] = "kind"
    mode: Literal["return_existing", "reject", "replace_pending", "debounce"] = "return_existing"
    ttl: timedelta | None = None


@dataclass(frozen=True, kw_only=True)
class NewJob:
    """A job to be. `payload` is bytes, or what is sent as JSON; at most 1 MiB. Limits and defaults
    are those of JobSpec in the contract."""

    kind: str
    payload: object = None
    queue: str = "default"
    content_type: str | None = None
    priority: int = 0
    run_at: datetime | None = None
    delay: timedelta | None = None
    start_deadline: datetime | None = None
    run_timeout: timedelta | None = None
    retry: RetryPolicy | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    unique: Unique | None = None
    depends_on: Sequence[str] = ()
    on_dependency_failure: Literal["cancel", "run"] | None = None
    on_lost: Literal["retry", "fail"] | None = None
    traceparent: str = ""
    cancel_grace: timedelta | None = None
    ack: Literal["store", "replicated", "ledger"] | None = None

    def spec(self) -> job_pb2.JobSpec:
        """As it goes over the wire."""
        is_bytes = isinstance(self.payload, bytes | bytearray | memoryview)
        content = b"" if self.payload is None else self.payload
        spec = job_pb2.JobSpec(
            queue=self.queue,
            kind=self.kind,
            payload=bytes(content) if isinstance(content, bytes | bytearray | memoryview) else json.dumps(content).encode(),
            content_type=self.content_type or ("application/octet-stream" if is_bytes else "application/json"),
            priority=self.priority,
            labels=self.labels,
            depends_on=self.depends_on,
            traceparent=self.traceparent,
        )
        for name in ("delay", "run_timeout", "cancel_grace"):
            if (span := getattr(self, name)) is not None:
                getattr(spec, name).CopyFrom(wire_duration(span))
        for name in ("run_at", "start_deadline"):
            if (moment := getattr(self, name)) is not None:
                getattr(spec, name).CopyFrom(wire_timestamp(moment))
        if self.on_dependency_failure is not None:
            spec.on_dependency_failure = job_pb2.DependencyFailurePolicy.Value(
                f"DEPENDENCY_FAILURE_POLICY_{self.on_dependency_failure.upper()}"
            )
        if self.on_lost is not None:
            spec.on_lost = job_pb2.LostPolicy.Value(f"LOST_POLICY_{self.on_lost.upper()}")
        if self.ack is not None:
            spec.ack = job_pb2.AckLevel.Value(f"ACK_LEVEL_{self.ack.upper()}")
        self._retry(spec)
        self._unique(spec)
        return spec

    def _retry(self, spec: job_pb2.JobSpec) -> None:
        retry = self.retry
        if retry is None:
            return
        spec.retry.max_attempts = retry.max_attempts
        spec.retry.backoff = job_pb2.BackoffKind.Value(f"BACKOFF_KIND_{retry.backoff.upper()}")
        spec.retry.jitter = job_pb2.Jitter.Value(f"JITTER_{retry.jitter.upper()}")
        if retry.base is not None:
            spec.retry.base.CopyFrom(wire_duration(retry.base))
        if retry.cap is not None:
            spec.retry.cap.CopyFrom(wire_duration(retry.cap))

    def _unique(self, spec: job_pb2.JobSpec) -> None:
        unique = self.unique
        if unique is None:
            return
        spec.unique.key = unique.key
        spec.unique.scope = job_pb2.UniqueScope.Value(f"UNIQUE_SCOPE_{unique.scope.upper()}")
        spec.unique.mode = job_pb2.UniqueMode.Value(f"UNIQUE_MODE_{unique.mode.upper()}")
        if unique.ttl is not None:
            spec.unique.ttl.CopyFrom(wire_duration(unique.ttl))
