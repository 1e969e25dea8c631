"""The client of JobService, and of QueueService as `Client.queues`."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Self, TypeVar

import grpc

from ._calls import Calls, CallSettings, Connections
from ._endpoint import TlsConfig, call_metadata, parse_endpoints
from ._ids import canonical_id, canonical_ids
from ._proto.sentinel.jobs.v1 import job_pb2
from ._proto.sentinel.jobs.v1 import job_service_pb2 as pb
from ._request import build, choose_all
from ._retry import RetryBudget
from .errors import ApiError, CallTimeoutError, InvalidArgumentError, ProtocolError
from .job import STATES, NewJob, is_terminal
from .queues import Queues
from .typed import JobHandle, JobType
from .watch import WatchStream

# The limit of ids per BatchGet.
_MAX_IDS = 1_000

Response = TypeVar("Response")
Payload = TypeVar("Payload")
Result = TypeVar("Result")

State = Literal["scheduled", "blocked", "ready", "running", "succeeded", "failed", "cancelled", "expired"]
# `Client.list` hides the built-in name within the class.
_Jobs = list[job_pb2.Job | None]
_EnqueuedJobs = list[pb.EnqueuedJob | pb.ItemError]


@dataclass(frozen=True)
class EnqueueResult:
    """The result of an enqueue."""

    job: job_pb2.Job
    """The new job, or the job that holds the unique key. Without payload."""
    deduplicated: bool
    """Whether the job existed before."""


class Client:
    """A client of the servers of one cluster, for one event loop. It connects on its first call, reconnects
    automatically, and uses another server when one is not reachable.

    Calls that did not reach a server, had no response in time, or were asked to wait are repeated with exponential
    backoff and jitter until `deadline_s`. This is safe: reads and cancels are idempotent, other changes send an
    idempotency key. A retry budget delays the retries of many calls that fail at the same time.
    """

    def __init__(
        self,
        endpoint: str | Sequence[str],
        *,
        credential: str | None = None,
        tls: TlsConfig | None = None,
        actor: str = "",
        timeout_s: float = 30.0,
        deadline_s: float = 60.0,
    ) -> None:
        """`endpoint` is `https://host:port`, `http://host:port` or `host:port`, or a list of the servers of one
        cluster. Raises `InvalidArgumentError`.

        `credential` is an API key, sent as `authorization: Bearer <credential>`. `tls` sets the certificates
        of `https://` connections. `actor` is shown in the audit log for calls that name none. `timeout_s`
        limits one RPC attempt of a call, `deadline_s` the call including its retries, both in seconds.
        """
        endpoints = parse_endpoints([endpoint] if isinstance(endpoint, str) else list(endpoint), tls, credential)
        if not endpoints:
            raise InvalidArgumentError("invalid endpoint: the list is empty")
        settings = CallSettings(_seconds("timeout_s", timeout_s), _seconds("deadline_s", deadline_s), ())
        settings = replace(settings, metadata=tuple(call_metadata(credential)))
        self._actor = actor
        self._calls = Calls(Connections(endpoints, tls), settings, RetryBudget(time.monotonic()))

    def with_deadline(self, deadline_s: float) -> "Client":
        """A client with another deadline, in seconds, and the same connections: closing one closes both."""
        client = Client.__new__(type(self))
        client._actor = self._actor
        settings = replace(self._calls.settings, deadline_s=_seconds("deadline_s", deadline_s))
        client._calls = Calls(self._calls.connections, settings, self._calls.budget)
        return client

    @property
    def queues(self) -> Queues:
        """The calls that manage queues."""
        return Queues(self._calls, self._actor)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Closes the connections and fails pending calls."""
        await self._calls.connections.close()

    async def submit(self, job_type: JobType[Payload, Result], payload: Payload, **options: Any) -> JobHandle[Result]:
        """Enqueues a typed job, which is durable when this returns. `options` are fields of `NewJob`, such as
        `delay`."""
        enqueued = await self.enqueue(job_type.new(payload, **options))
        return JobHandle(self, job_type.result, enqueued.job.id, enqueued.deduplicated)

    def job(self, job_type: JobType[Payload, Result], id: str) -> JobHandle[Result]:
        """A handle of an existing job. Makes no call and does not check the kind of the job."""
        return JobHandle(self, job_type.result, canonical_id(id), False)

    async def enqueue(self, job: NewJob, *, request_id: str | None = None, actor: str | None = None) -> EnqueueResult:
        """Enqueues one job, which is durable when this returns.

        `request_id` is the idempotency key, which makes it safe to repeat this call from another process. By
        default the client generates one, which covers only its own retries. 1..256 bytes.
        """
        request = build(
            pb.EnqueueRequest,
            "enqueue",
            spec=job.to_spec(),
            request_id=request_id or str(uuid.uuid4()),
            actor=self._actor_or_default(actor),
        )
        headers = [("traceparent", job.traceparent)] if job.traceparent else []
        response = await self._call_with_retry("Enqueue", request, pb.EnqueueResponse, headers)
        return EnqueueResult(response.job, response.deduplicated)

    async def enqueue_batch(
        self, jobs: Sequence[NewJob], *, atomic: bool = False, request_id: str | None = None, actor: str | None = None
    ) -> _EnqueuedJobs:
        """Enqueues 1..1000 jobs of at most 4 MiB in total in one transaction. Returns one result per job, in
        order. With `atomic`, one invalid job rejects the whole batch."""
        request = build(
            pb.EnqueueBatchRequest,
            "enqueue_batch",
            specs=[job.to_spec() for job in jobs],
            atomic=atomic,
            request_id=request_id or str(uuid.uuid4()),
            actor=self._actor_or_default(actor),
        )
        response = await self._call_with_retry("EnqueueBatch", request, pb.EnqueueBatchResponse)
        if len(response.results) != len(jobs):
            raise ProtocolError("EnqueueBatchResponse.results has the wrong length")
        return [result.job if result.HasField("job") else result.error for result in response.results]

    async def get(self, id: str, *, view: int = job_pb2.JOB_VIEW_FULL) -> job_pb2.Job:
        """Gets one job with payload and result."""
        request = build(pb.GetRequest, "get", id=canonical_id(id), view=view)
        return (await self._call_with_retry("Get", request, pb.GetResponse)).job

    async def batch_get(self, ids: Sequence[str], *, view: int = job_pb2.JOB_VIEW_FULL) -> _Jobs:
        """Gets many jobs in the order of the ids, `None` for an unknown id. Splits the ids into calls of at
        most 1000."""
        found: _Jobs = []
        ids = canonical_ids(ids)
        while len(found) < len(ids):
            chunk = ids[len(found) : len(found) + _MAX_IDS]
            request = build(pb.BatchGetRequest, "batch_get", ids=chunk, view=view)
            results = (await self._call_with_retry("BatchGet", request, pb.BatchGetResponse)).results
            if not 0 < len(results) <= len(chunk):
                raise ProtocolError("BatchGetResponse.results has the wrong length")
            found += [result.job if result.HasField("job") else None for result in results]
        return found

    async def counts(self, queues: Sequence[str] = ()) -> pb.CountsResponse:
        """Counts jobs by state, per queue. At most 100 queues; an empty list counts all queues."""
        request = build(pb.CountsRequest, "counts", queues=queues)
        return await self._call_with_retry("Counts", request, pb.CountsResponse)

    async def list_attempts(self, id: str, *, page_size: int = 0) -> AsyncIterator[pb.Attempt]:
        """Lists the attempts of a job, newest first. Pages are fetched as the iterator is read."""
        request = build(pb.ListAttemptsRequest, "list_attempts", id=canonical_id(id), page_size=page_size)
        while True:
            page = await self._call_with_retry("ListAttempts", request, pb.ListAttemptsResponse)
            for attempt in page.attempts:
                yield attempt
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token

    async def list_page(self, request: pb.ListRequest) -> pb.ListResponse:
        """Gets one page of jobs, newest first."""
        return await self._call_with_retry("List", request, pb.ListResponse)

    async def list_all(self, filter: pb.JobFilter | None = None, *, page_size: int = 0) -> AsyncIterator[job_pb2.Job]:
        """Lists all jobs that match `filter`, newest first. Pages are fetched as the iterator is read."""
        request = build(pb.ListRequest, "list", filter=filter, page_size=page_size)
        while True:
            page = await self.list_page(request)
            for job in page.jobs:
                yield job
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token

    def list(
        self,
        *,
        states: Iterable[State] = (),
        queues: Iterable[str] = (),
        kinds: Iterable[str] = (),
        labels: Mapping[str, str] | None = None,
        page_size: int = 0,
    ) -> AsyncIterator[job_pb2.Job]:
        """Lists all jobs in any of these states, queues and kinds with all of these labels, newest first:
        `list(states=["failed"])`. An empty list means all. Pages are fetched as the iterator is read."""
        wire_states = choose_all("states", states, STATES)
        filter = build(
            pb.JobFilter, "list", states=wire_states, queues=[*queues], kinds=[*kinds], labels=dict(labels or {})
        )
        return self.list_all(filter, page_size=page_size)

    async def cancel(self, id: str, *, reason: str = "", actor: str | None = None) -> pb.CancelResponse:
        """Cancels a job: a job that does not run is cancelled at once, the handler of a running one is asked to
        stop."""
        request = build(
            pb.CancelRequest, "cancel", id=canonical_id(id), reason=reason, actor=self._actor_or_default(actor)
        )
        return await self._call_with_retry("Cancel", request, pb.CancelResponse)

    async def retry(self, id: str, *, request_id: str | None = None, actor: str | None = None) -> job_pb2.Job:
        """Starts a new run of a terminal job: same id, run + 1, all attempts available again."""
        request = self._change(pb.RetryRequest, "retry", id, request_id, actor)
        return (await self._call_with_retry("Retry", request, pb.RetryResponse)).job

    async def run_now(self, id: str, *, request_id: str | None = None, actor: str | None = None) -> job_pb2.Job:
        """Makes a SCHEDULED job READY now."""
        request = self._change(pb.RunNowRequest, "run_now", id, request_id, actor)
        return (await self._call_with_retry("RunNow", request, pb.RunNowResponse)).job

    async def update(self, request: pb.UpdateRequest) -> job_pb2.Job:
        """Changes a job before its first start: the fields of `spec` named in `update_mask`."""
        complete = pb.UpdateRequest()
        complete.CopyFrom(request)
        complete.id = canonical_id(request.id)
        complete.request_id = request.request_id or str(uuid.uuid4())
        complete.actor = request.actor or self._actor
        return (await self._call_with_retry("Update", complete, pb.UpdateResponse)).job

    async def delete(self, id: str, *, request_id: str | None = None, actor: str | None = None) -> None:
        """Deletes a job that does not run, with its attempts, logs and output."""
        request = self._change(pb.DeleteRequest, "delete", id, request_id, actor)
        await self._call_with_retry("Delete", request, pb.DeleteResponse)

    async def bulk(self, request: pb.BulkRequest) -> pb.BulkResponse:
        """Applies an action to one page of the jobs that match a filter. Repeat with the `next_page_token` of
        the response until it is empty. Idempotent."""
        complete = pb.BulkRequest()
        complete.CopyFrom(request)
        complete.actor = request.actor or self._actor
        return await self._call_with_retry("Bulk", complete, pb.BulkResponse)

    async def read_logs(self, id: str, *, attempt: int = 0, follow: bool = False) -> AsyncIterator[job_pb2.LogLine]:
        """Reads the log lines of a job's handlers, oldest first. `attempt` 0 selects all attempts."""
        request = build(pb.ReadLogsRequest, "read_logs", id=canonical_id(id), attempt=attempt, follow=follow)
        async for response in self._stream("ReadLogs", request, pb.ReadLogsResponse):
            for line in response.lines:
                yield line

    async def read_output(self, request: pb.ReadOutputRequest) -> AsyncIterator[pb.ReadOutputResponse]:
        """Reads the output of an attempt in chunks of at most 64 KiB. `run` and `attempt` 0 select the newest.
        The iterator fails when the connection is lost; continue with `offset`."""
        complete = pb.ReadOutputRequest()
        complete.CopyFrom(request)
        complete.id = canonical_id(request.id)
        async for response in self._stream("ReadOutput", complete, pb.ReadOutputResponse):
            yield response

    def watch(
        self,
        *,
        jobs: Sequence[str] | None = None,
        filter: pb.JobFilter | None = None,
        cursor: str = "",
        logs: bool = False,
        view: int = job_pb2.JOB_VIEW_UNSPECIFIED,
    ) -> WatchStream:
        """Watches jobs: a snapshot first, then every state change.

        `jobs` are 1..100 ids; the stream closes when all of them are terminal. `filter` selects all jobs that
        match, including those enqueued later; the stream does not close by itself. The stream reconnects
        automatically and resumes after the last event. When it cannot resume, it returns a `gap` followed by
        a new snapshot.
        """
        request = build(pb.WatchRequest, "watch", cursor=cursor, include_logs=logs, view=view)
        if jobs is not None:
            request.jobs.ids.extend(canonical_ids(jobs))
        else:
            request.filter.CopyFrom(filter or pb.JobFilter())
        path = _method_path("Watch")
        return WatchStream(lambda request: self._calls.open_stream(path, request, pb.WatchResponse), request)

    async def wait_for_result(self, id: str, *, timeout: float | None = None) -> job_pb2.Job:
        """Waits until a job is terminal and returns it with its result, for at most `timeout` seconds; without it,
        there is no limit, also while no server is reachable. Raises `ApiError` with reason JOB_NOT_FOUND when no
        job has this id, and `CallTimeoutError`."""
        try:
            async with asyncio.timeout(timeout):
                return await self._wait_for_result(canonical_id(id))
        except TimeoutError as error:
            raise CallTimeoutError(f"job {id} has not finished within {timeout:g} s") from error

    async def _wait_for_result(self, id: str) -> job_pb2.Job:
        async for event in self.watch(jobs=[id], view=job_pb2.JOB_VIEW_FULL):
            if id in event.snapshot.unknown_ids:
                raise ApiError(f"job {id} does not exist", grpc.StatusCode.NOT_FOUND, "JOB_NOT_FOUND")
            for job in [*event.snapshot.jobs, event.change.job]:
                if job.id == id and is_terminal(job.state):
                    return job
        # The job finished while the watch was reconnecting, so that no event showed it.
        return await self.get(id)

    def _actor_or_default(self, actor: str | None) -> str:
        return self._actor if actor is None else actor

    def _change(self, message: type[Any], name: str, id: str, request_id: str | None, actor: str | None) -> Any:
        """The request of a change of one job, with an idempotency key."""
        return build(
            message,
            name,
            id=canonical_id(id),
            request_id=request_id or str(uuid.uuid4()),
            actor=self._actor_or_default(actor),
        )

    def _stream(self, method: str, request: Any, response_type: type[Response]) -> AsyncIterator[Response]:
        return self._calls.stream(_method_path(method), request, response_type)

    async def _call_with_retry(
        self, method: str, request: Any, response_type: type[Response], headers: Sequence[tuple[str, str]] = ()
    ) -> Response:
        return await self._calls.unary(_method_path(method), request, response_type, headers)


def _seconds(name: str, value: float) -> float:
    if not isinstance(value, int | float) or not 0 < value < 1e9:
        raise InvalidArgumentError(f"invalid {name}: {value!r}; a positive number of seconds is expected")
    return float(value)


def _method_path(method: str) -> str:
    return f"/sentinel.jobs.v1.JobService/{method}"
