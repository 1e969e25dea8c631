"""The verbs of JobService, and the one place that decides which calls may be repeated."""

import asyncio
import random
import time
import uuid
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any, Self, TypeVar

import grpc
import grpc.aio

from ._proto.sentinel.jobs.v1 import job_pb2, job_service_pb2 as pb
from ._tries import Budget, Tries
from ._wire import CHANNEL_OPTIONS, Tls, channel_credentials, metadata, parse_endpoints
from .errors import ApiError, ProtocolError, from_wire
from .job import NewJob, is_final
from .watch import Watch

# Of one BatchGet.
_MAX_IDS = 1_000

Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Enqueued:
    """What an enqueue answered."""

    job: job_pb2.Job
    """The new job, or the holder of its unique key. Without payload."""
    deduplicated: bool
    """The job existed before."""


class Client:
    """A client of one server or balancer, for one event loop. The connection is opened by the first
    call and again when it breaks.

    Calls that got no answer are repeated, at most 4 tries in all, where the server said UNAVAILABLE
    or could not be reached: reads always; enqueue and retry under a request id, so that a repeat
    changes nothing twice; cancel, because it is idempotent. When many tries fail, calls get one try
    until enough of them are answered again.
    """

    def __init__(
        self,
        endpoint: str,
        *,
        credential: str | None = None,
        tls: Tls | None = None,
        actor: str = "",
        timeout_s: float = 30.0,
        deadline_s: float = 60.0,
    ) -> None:
        """`endpoint` is `https://host:port`, `http://host:port` or `host:port`. `credential` is sent as
        `authorization: Bearer <credential>`; `tls` is for `https://`; `actor` says who asks, for the audit trail; `timeout_s` is the longest
        that one try of a call may take, `deadline_s` that all its tries may."""
        [(address, is_secure)] = parse_endpoints([endpoint], tls)
        if is_secure:
            self._channel = grpc.aio.secure_channel(address, channel_credentials(tls), options=CHANNEL_OPTIONS)
        else:
            self._channel = grpc.aio.insecure_channel(address, options=CHANNEL_OPTIONS)
        self._metadata = metadata(credential)
        self._actor = actor
        self._timeout_s = timeout_s
        self._deadline_s = deadline_s
        self._budget = Budget()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Ends the connection under whatever still runs on it."""
        await self._channel.close()

    async def enqueue(self, job: NewJob, *, request_id: str | None = None, actor: str | None = None) -> Enqueued:
        """Stores one job. It is durable when this returns. A `request_id` makes repeats of the call
        safe across processes; without one the client makes its own, which covers only its own tries."""
        request = pb.EnqueueRequest(spec=job.spec(), request_id=request_id or str(uuid.uuid4()), actor=self._who(actor))
        headers = [("traceparent", job.traceparent)] if job.traceparent else []
        response = await self._repeat("Enqueue", request, pb.EnqueueResponse, headers)
        return Enqueued(response.job, response.deduplicated)

    async def enqueue_batch(
        self, jobs: Sequence[NewJob], *, atomic: bool = False, request_id: str | None = None, actor: str | None = None
    ) -> list[pb.EnqueuedJob | pb.ItemError]:
        """Stores 1..1000 jobs of 4 MiB in all in one commit. One result per item, in order."""
        request = pb.EnqueueBatchRequest(
            specs=[job.spec() for job in jobs],
            atomic=atomic,
            request_id=request_id or str(uuid.uuid4()),
            actor=self._who(actor),
        )
        response = await self._repeat("EnqueueBatch", request, pb.EnqueueBatchResponse)
        if len(response.results) != len(jobs):
            raise ProtocolError("EnqueueBatchResponse of another length")
        return [result.job if result.HasField("job") else result.error for result in response.results]

    async def get(self, id: str, *, view: int = job_pb2.JOB_VIEW_FULL) -> job_pb2.Job:
        """One job, with payload and result."""
        return (await self._repeat("Get", pb.GetRequest(id=id, view=view), pb.GetResponse)).job  # type: ignore[arg-type]

    async def batch_get(self, ids: Sequence[str], *, view: int = job_pb2.JOB_VIEW_FULL) -> list[job_pb2.Job | None]:
        """Many jobs in the order of the ids, `None` where no server knows one. Asks as often as it takes."""
        found: list[job_pb2.Job | None] = []
        while len(found) < len(ids):
            step = ids[len(found) : len(found) + _MAX_IDS]
            request = pb.BatchGetRequest(ids=step, view=view)  # type: ignore[arg-type]
            results = (await self._repeat("BatchGet", request, pb.BatchGetResponse)).results
            if not 0 < len(results) <= len(step):
                raise ProtocolError("BatchGetResponse of another length")
            found += [result.job if result.HasField("job") else None for result in results]
        return found

    async def counts(self, queues: Sequence[str] = ()) -> pb.CountsResponse:
        """How many jobs are in each state. Without queues: of all. At most 100 queues."""
        return await self._repeat("Counts", pb.CountsRequest(queues=queues), pb.CountsResponse)

    async def list_attempts(self, id: str, *, page_size: int = 0) -> AsyncIterator[pb.Attempt]:
        """The attempts of a job, newest first, read page by page."""
        request = pb.ListAttemptsRequest(id=id, page_size=page_size)
        while True:
            page = await self._repeat("ListAttempts", request, pb.ListAttemptsResponse)
            for attempt in page.attempts:
                yield attempt
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token

    async def list_page(self, request: pb.ListRequest) -> pb.ListResponse:
        """One page of jobs, newest first."""
        return await self._repeat("List", request, pb.ListResponse)

    async def list(self, filter: pb.JobFilter | None = None, *, page_size: int = 0) -> AsyncIterator[job_pb2.Job]:
        """All jobs that match, newest first, read page by page."""
        request = pb.ListRequest(filter=filter, page_size=page_size)
        while True:
            page = await self.list_page(request)
            for job in page.jobs:
                yield job
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token

    async def cancel(self, id: str, *, reason: str = "", actor: str | None = None) -> pb.CancelResponse:
        """Ends a waiting job at once; asks the handler of a running one to stop."""
        request = pb.CancelRequest(id=id, reason=reason, actor=self._who(actor))
        return await self._repeat("Cancel", request, pb.CancelResponse)

    async def retry(self, id: str, *, request_id: str | None = None, actor: str | None = None) -> job_pb2.Job:
        """Runs a final job once more: same id, run + 1, a new budget of attempts."""
        request = pb.RetryRequest(id=id, request_id=request_id or str(uuid.uuid4()), actor=self._who(actor))
        return (await self._repeat("Retry", request, pb.RetryResponse)).job

    async def run_now(self, id: str, *, request_id: str | None = None, actor: str | None = None) -> job_pb2.Job:
        """Makes a SCHEDULED job ready to start now."""
        request = pb.RunNowRequest(id=id, request_id=request_id or str(uuid.uuid4()), actor=self._who(actor))
        return (await self._repeat("RunNow", request, pb.RunNowResponse)).job

    async def update(self, request: pb.UpdateRequest) -> job_pb2.Job:
        """Changes the values that `update_mask` names of a job that has not started."""
        asked = pb.UpdateRequest()
        asked.CopyFrom(request)
        asked.request_id = request.request_id or str(uuid.uuid4())
        asked.actor = request.actor or self._actor
        return (await self._repeat("Update", asked, pb.UpdateResponse)).job

    async def delete(self, id: str, *, request_id: str | None = None, actor: str | None = None) -> None:
        """Removes a job that does not run, with all that belongs to it."""
        request = pb.DeleteRequest(id=id, request_id=request_id or str(uuid.uuid4()), actor=self._who(actor))
        await self._repeat("Delete", request, pb.DeleteResponse)

    async def bulk(self, request: pb.BulkRequest) -> pb.BulkResponse:
        """One step through the jobs of a filter; `next_page_token` of the answer says whether and where to
        go on. Safe to repeat."""
        asked = pb.BulkRequest()
        asked.CopyFrom(request)
        asked.actor = request.actor or self._actor
        return await self._repeat("Bulk", asked, pb.BulkResponse)

    async def read_logs(self, id: str, *, attempt: int = 0, follow: bool = False) -> AsyncIterator[job_pb2.LogLine]:
        """What the handlers of a job logged, oldest first."""
        request = pb.ReadLogsRequest(id=id, attempt=attempt, follow=follow)
        async for response in self._stream("ReadLogs", request, pb.ReadLogsResponse):
            for line in response.lines:
                yield line

    async def read_output(self, request: pb.ReadOutputRequest) -> AsyncIterator[pb.ReadOutputResponse]:
        """The bytes that an attempt handed out, in pieces of at most 64 KiB; `run` and `attempt` 0: the
        newest. It ends with the connection: `offset` goes on where it ended."""
        async for response in self._stream("ReadOutput", request, pb.ReadOutputResponse):
            yield response

    def watch(
        self,
        *,
        jobs: Sequence[str] | None = None,
        filter: pb.JobFilter | None = None,
        cursor: str = "",
        logs: bool = False,
        view: int = job_pb2.JOB_VIEW_UNSPECIFIED,
    ) -> Watch:
        """Follows jobs: a snapshot first, then every state change. `jobs` are 1..100 ids, and the
        watch ends when all of them are final; a `filter` takes in later jobs and does not end by
        itself. Breaks are bridged: it resumes after the last event; what could not be resumed shows
        as a `gap`, followed by a new snapshot."""
        request = pb.WatchRequest(cursor=cursor, include_logs=logs, view=view)  # type: ignore[arg-type]
        if jobs is not None:
            request.jobs.ids.extend(jobs)
        else:
            request.filter.CopyFrom(filter or pb.JobFilter())
        call = self._channel.unary_stream(
            _method("Watch"),
            request_serializer=pb.WatchRequest.SerializeToString,
            response_deserializer=pb.WatchResponse.FromString,
        )
        return Watch(lambda request: call(request, metadata=self._metadata), request)

    async def wait_for_result(self, id: str) -> job_pb2.Job:
        """Waits until the job is final; answers it with its result, whatever the end. Raises
        `ApiError` JOB_NOT_FOUND when no server knows the id."""
        async for event in self.watch(jobs=[id], view=job_pb2.JOB_VIEW_FULL):
            if id in event.snapshot.unknown_ids:
                raise ApiError(f"job {id} does not exist", grpc.StatusCode.NOT_FOUND, "JOB_NOT_FOUND")
            for job in [*event.snapshot.jobs, event.change.job]:
                if job.id == id and is_final(job.state):
                    return job
        # The end came between two reads of ours: the record itself has the answer.
        return await self.get(id)

    def _who(self, actor: str | None) -> str:
        return self._actor if actor is None else actor

    async def _stream(self, verb: str, request: Any, answer: type[Answer]) -> AsyncIterator[Answer]:
        read = self._channel.unary_stream(
            _method(verb),
            request_serializer=type(request).SerializeToString,
            response_deserializer=answer.FromString,  # type: ignore[attr-defined]
        )
        try:
            async for response in read(request, metadata=self._metadata):
                yield response
        except grpc.RpcError as error:
            raise from_wire(error) from error

    async def _repeat(
        self, verb: str, request: Any, answer: type[Answer], headers: Sequence[tuple[str, str]] = ()
    ) -> Answer:
        """Calls until there is an answer or the tries are used up. Only for calls that may be repeated."""
        call = self._channel.unary_unary(
            _method(verb),
            request_serializer=type(request).SerializeToString,
            response_deserializer=answer.FromString,  # type: ignore[attr-defined]
        )
        tries = Tries(self._budget, time.monotonic() + self._deadline_s)
        while True:
            timeout_s = min(self._timeout_s, tries.left_s(time.monotonic()))
            try:
                done: Answer = await call(request, timeout=timeout_s, metadata=[*self._metadata, *headers])
                tries.answered()
                return done
            except grpc.RpcError as cause:
                error = from_wire(cause)
                pause_s = tries.failed(error, time.monotonic(), random.random())
                if pause_s is None:
                    raise error from cause
            await asyncio.sleep(pause_s)


def _method(verb: str) -> str:
    return f"/sentinel.jobs.v1.JobService/{verb}"
