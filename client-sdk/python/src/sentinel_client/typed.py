"""Typed jobs: one definition of a kind, its payload and its result, for callers and workers. Both are JSON on the
wire, so that other languages can take part."""

import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from ._decode import DecodeError, decode, json_schema
from ._json import decode_json, encode_json
from ._proto.sentinel.jobs.v1 import job_pb2
from ._worker.job_context import JobContext
from ._worker.outcome import Cancelled, Release, Snooze
from .errors import InvalidArgumentError, JobNotSucceededError, ProtocolError
from .job import NewJob

if TYPE_CHECKING:
    from .client import Client

Payload = TypeVar("Payload")
Result = TypeVar("Result")

_NO_RESULT: type[Any] = type(None)
_Outcome = Snooze | Release | Cancelled


@dataclass(frozen=True)
class JobType(Generic[Payload, Result]):
    """A kind with the types of its payload and its result; see `define_job`."""

    kind: str
    payload: type[Payload]
    result: type[Result]
    queue: str
    description: str
    configure: Callable[[Payload], dict[str, Any]] | None

    def new(self, payload: Payload, **options: Any) -> NewJob:
        """The job of a payload, for `Client.enqueue`. `options` are fields of `NewJob`."""
        configured = {} if self.configure is None else self.configure(payload)
        try:
            return NewJob(**{"kind": self.kind, "queue": self.queue, "payload": payload, **configured, **options})
        except TypeError as error:
            raise InvalidArgumentError(f"invalid options of a job of kind {self.kind}: {error}") from error

    def handler(
        self,
        function: Callable[[Payload, JobContext], Awaitable[Result | _Outcome]]
        | Callable[[Payload, JobContext], Result | _Outcome],
    ) -> "TypedHandler":
        """Decorates the handler of this kind: a coroutine function or a function of the payload and the
        `JobContext`. A payload of another type fails the job with code `BAD_PAYLOAD` and is not retried."""

        async def run(job: JobContext) -> object:
            value = function(self._payload_of(job), job)
            return _encoded(await value if inspect.isawaitable(value) else value)

        def run_on_thread(job: JobContext) -> object:
            return _encoded(function(self._payload_of(job), job))

        is_coroutine = inspect.iscoroutinefunction(function)
        schema = json_schema(self.payload)
        return TypedHandler(self.kind, self.queue, self.description, schema, run if is_coroutine else run_on_thread)

    def _payload_of(self, job: JobContext) -> Payload:
        return job.payload_as(self.payload)


@dataclass(frozen=True)
class TypedHandler:
    """The handler of a `JobType`, for the option `handlers` of `Worker`."""

    kind: str
    queue: str
    description: str
    input_schema: dict[str, Any] | None
    """The JSON Schema of the payload, which the worker declares to the server."""
    run: Callable[[JobContext], object]


def define_job(
    kind: str,
    *,
    payload: type[Payload],
    result: type[Result] = _NO_RESULT,
    queue: str = "default",
    description: str = "",
    configure: Callable[[Payload], dict[str, Any]] | None = None,
) -> JobType[Payload, Result]:
    """Defines a typed job.

    `kind` and `queue`: 1..128 characters of [A-Za-z0-9._-]. `payload` and `result`: dataclasses, pydantic models,
    or types that JSON has. `description`: for people, at most 1024 bytes. `configure`: fields of `NewJob` that
    depend on the payload, such as a unique key.
    """
    return JobType(kind, payload, result, queue, description, configure)


def _encoded(value: object) -> object:
    # Also text, so that the result is JSON. Raises JsonError, which the worker reports as BAD_RESULT.
    if isinstance(value, Snooze | Release | Cancelled) or value is None:
        return value
    return encode_json(value, "result")


class JobHandle(Generic[Result]):
    """A typed job, with the calls about it."""

    def __init__(self, client: "Client", result_type: type[Result], id: str, deduplicated: bool) -> None:
        self._client = client
        self._result_type = result_type
        self.id = id
        """The UUID of the job."""
        self.deduplicated = deduplicated
        """Whether the job existed before this enqueue."""

    async def result(self, *, timeout: float | None = None) -> Result:
        """Waits until the job is terminal, for at most `timeout` seconds, and returns its result. Raises
        `JobNotSucceededError` when it failed, was cancelled or expired, and as `Client.wait_for_result`."""
        job = await self._client.wait_for_result(self.id, timeout=timeout)
        if job.state != job_pb2.JOB_STATE_SUCCEEDED:
            ended = job_pb2.JobState.Name(job.state).removeprefix("JOB_STATE_")
            reason = f": {job.error.message}" if job.error.message else ""
            raise JobNotSucceededError(f"job {job.id} is {ended}{reason}", job)
        try:
            return cast(Result, decode(self._result_type, decode_json(job.result), "result"))
        except (DecodeError, ValueError) as error:
            raise ProtocolError(f"the result of job {job.id} does not have the expected type: {error}") from error

    async def get(self) -> job_pb2.Job:
        """Gets the job with payload and result."""
        return await self._client.get(self.id)

    async def cancel(self, *, reason: str = "") -> None:
        """As `Client.cancel`."""
        await self._client.cancel(self.id, reason=reason)

    async def retry(self) -> job_pb2.Job:
        """As `Client.retry`."""
        return await self._client.retry(self.id)


