"""The client of JobService. This module decides which calls are retried."""

import asyncio
import random
import time
import uuid
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any, Self, TypeVar

import grpc
import grpc.aio

from ._endpoint import CHANNEL_OPTIONS, TlsConfig, call_metadata, channel_credentials, parse_endpoints
from ._proto.sentinel.jobs.v1 import job_pb2
from ._proto.sentinel.jobs.v1 import job_service_pb2 as pb
from ._retry import CallRetry, RetryThrottle
from .errors import ApiError, ProtocolError, from_grpc_error
from .job import NewJob, is_terminal
from .watch import WatchStream

# The limit of ids per BatchGet.
_MAX_IDS = 1_000

Response = TypeVar("Response")


@dataclass(frozen=True)
class EnqueueResult:
    """The result of an enqueue."""

    job: job_pb2.Job
    """The new job, or the job that holds the unique key. Without payload."""
    deduplicated: bool
    """Whether the job existed before."""


class Client:
    """A client of one server or load balancer, for one event loop. It connects on its first call and
    reconnects automatically.

    Calls without a response, or with UNAVAILABLE, are retried with exponential backoff and jitter, at most
    3 times. This is safe: reads and cancels are idempotent, enqueue and retry send an idempotency key. While
    many calls fail, the client stops retrying until enough of them get a response again.
    """

    def __init__(
        self,
        endpoint: str,
        *,
        credential: str | None = None,
        tls: TlsConfig | None = None,
        actor: str = "",
        timeout_s: float = 30.0,
        deadline_s: float = 60.0,
    ) -> None:
        """`endpoint` is `https://host:port`, `http://host:port` or `host:port`.

        `credential` is an API key, sent as `authorization: Bearer <credential>`. `tls` sets the certificates
        of `https://` connections. `actor` is shown in the audit log for calls that name none. `timeout_s`
        limits one RPC attempt of a call, `deadline_s` the call including its retries.
        """
        [(address, is_secure)] = parse_endpoints([endpoint], tls)
        if is_secure:
            self._channel = grpc.aio.secure_channel(address, channel_credentials(tls), options=CHANNEL_OPTIONS)
        else:
            self._channel = grpc.aio.insecure_channel(address, options=CHANNEL_OPTIONS)
        self._metadata = call_metadata(credential)
        self._actor = actor
        self._timeout_s = timeout_s
        self._deadline_s = deadline_s
        self._throttle = RetryThrottle()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Closes the connection and fails pending calls."""
        await self._channel.close()

    async def enqueue(self, job: NewJob, *, request_id: str | None = None, actor: str | None = None) -> EnqueueResult:
        """Enqueues one job, which is durable when this returns.

        `request_id` is the idempotency key, which makes it safe to repeat this call from another process. By
        default the client generates one, which covers only its own retries. 1..256 bytes.
        """
        request = pb.EnqueueRequest(
            spec=job.to_spec(), request_id=request_id or str(uuid.uuid4()), actor=self._actor_or_default(actor)
        )
        headers = [("traceparent", job.traceparent)] if job.traceparent else []
        response = await self._call_with_retry("Enqueue", request, pb.EnqueueResponse, headers)
        return EnqueueResult(response.job, response.deduplicated)

    async def enqueue_batch(
        self, jobs: Sequence[NewJob], *, atomic: bool = False, request_id: str | None = None, actor: str | None = None
    ) -> list[pb.EnqueuedJob | pb.ItemError]:
        """Enqueues 1..1000 jobs of at most 4 MiB in total in one transaction. Returns one result per job, in
        order. With `atomic`, one invalid job rejects the whole batch."""
        request = pb.EnqueueBatchRequest(
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
        return (await self._call_with_retry("Get", pb.GetRequest(id=id, view=view), pb.GetResponse)).job  # type: ignore[arg-type]

    async def batch_get(self, ids: Sequence[str], *, view: int = job_pb2.JOB_VIEW_FULL) -> list[job_pb2.Job | None]:
        """Gets many jobs in the order of the ids, `None` for an unknown id. Splits the ids into calls of at
        most 1000."""
        found: list[job_pb2.Job | None] = []
        while len(found) < len(ids):
            chunk = ids[len(found) : len(found) + _MAX_IDS]
            request = pb.BatchGetRequest(ids=chunk, view=view)  # type: ignore[arg-type]
            results = (await self._call_with_retry("BatchGet", request, pb.BatchGetResponse)).results
            if not 0 < len(results) <= len(chunk):
                raise ProtocolError("BatchGetResponse.results has the wrong length")
            found += [result.job if result.HasField("job") else None for result in results]
        return found

    async def counts(self, queues: Sequence[str] = ()) -> pb.CountsResponse:
        """Counts jobs by state, per queue. At most 100 queues; an empty list counts all queues."""
        return await self._call_with_retry("Counts", pb.CountsRequest(queues=queues), pb.CountsResponse)

    async def list_attempts(self, id: str, *, page_size: int = 0) -> AsyncIterator[pb.Attempt]:
        """Lists the attempts of a job, newest first. Pages are fetched as the iterator is read."""
        request = pb.ListAttemptsRequest(id=id, page_size=page_size)
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
        request = pb.ListRequest(filter=filter, page_size=page_size)
        while True:
            page = await self.list_page(request)
            for job in page.jobs:
                yield job
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token

    async def cancel(self, id: str, *, reason: str = "", actor: str | None = None) -> pb.CancelResponse:
        """Cancels a job: a job that does not run is cancelled at once, the handler of a running one is asked to
        stop."""
        request = pb.CancelRequest(id=id, reason=reason, actor=self._actor_or_default(actor))
        return await self._call_with_retry("Cancel", request, pb.CancelResponse)

    async def retry(self, id: str, *, request_id: str | None = None, actor: str | None = None) -> job_pb2.Job:
        """Starts a new run of a terminal job: same id, run + 1, all attempts available again."""
        request = pb.RetryRequest(
            id=id, request_id=request_id or str(uuid.uuid4()), actor=self._actor_or_default(actor)
        )
        return (await self._call_with_retry("Retry", request, pb.RetryResponse)).job

    async def run_now(self, id: str, *, request_id: str | None = None, actor: str | None = None) -> job_pb2.Job:
        """Makes a SCHEDULED job READY now."""
        request = pb.RunNowRequest(
            id=id, request_id=request_id or str(uuid.uuid4()), actor=self._actor_or_default(actor)
        )
        return (await self._call_with_retry("RunNow", request, pb.RunNowResponse)).job

    async def update(self, request: pb.UpdateRequest) -> job_pb2.Job:
        """Changes a job before its first start: the fields of `spec` named in `update_mask`."""
        complete = pb.UpdateRequest()
        complete.CopyFrom(request)
        complete.request_id = request.request_id or str(uuid.uuid4())
        complete.actor = request.actor or self._actor
        return (await self._call_with_retry("Update", complete, pb.UpdateResponse)).job

    async def delete(self, id: str, *, request_id: str | None = None, actor: str | None = None) -> None:
        """Deletes a job that does not run, with its attempts, logs and output."""
        request = pb.DeleteRequest(
            id=id, request_id=request_id or str(uuid.uuid4()), actor=self._actor_or_default(actor)
        )
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
        request = pb.ReadLogsRequest(id=id, attempt=attempt, follow=follow)
        async for response in self._stream("ReadLogs", request, pb.ReadLogsResponse):
            for line in response.lines:
                yield line

    async def read_output(self, request: pb.ReadOutputRequest) -> AsyncIterator[pb.ReadOutputResponse]:
        """Reads the output of an attempt in chunks of at most 64 KiB. `run` and `attempt` 0 select the newest.
        The iterator fails when the connection is lost; continue with `offset`."""
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
    ) -> WatchStream:
        """Watches jobs: a snapshot first, then every state change.

        `jobs` are 1..100 ids; the stream closes when all of them are terminal. `filter` selects all jobs that
        match, including those enqueued later; the stream does not close by itself. The stream reconnects
        automatically and resumes after the last event. When it cannot resume, it returns a `gap` followed by
        a new snapshot.
        """
        request = pb.WatchRequest(cursor=cursor, include_logs=logs, view=view)  # type: ignore[arg-type]
        if jobs is not None:
            request.jobs.ids.extend(jobs)
        else:
            request.filter.CopyFrom(filter or pb.JobFilter())
        call = self._channel.unary_stream(
            _method_path("Watch"),
            request_serializer=pb.WatchRequest.SerializeToString,
            response_deserializer=pb.WatchResponse.FromString,
        )
        return WatchStream(lambda request: call(request, metadata=self._metadata), request)

    async def wait_for_result(self, id: str) -> job_pb2.Job:
        """Waits until a job is terminal and returns it with its result. Raises `ApiError` with reason
        JOB_NOT_FOUND when no job has this id."""
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

    async def _stream(self, method: str, request: Any, response_type: type[Response]) -> AsyncIterator[Response]:
        read = self._channel.unary_stream(
            _method_path(method),
            request_serializer=type(request).SerializeToString,
            response_deserializer=response_type.FromString,  # type: ignore[attr-defined]
        )
        try:
            async for response in read(request, metadata=self._metadata):
                yield response
        except grpc.RpcError as error:
            raise from_grpc_error(error) from error

    async def _call_with_retry(
        self, method: str, request: Any, response_type: type[Response], headers: Sequence[tuple[str, str]] = ()
    ) -> Response:
        """Makes a call and retries it as `CallRetry` allows. Only for idempotent calls."""
        call = self._channel.unary_unary(
            _method_path(method),
            request_serializer=type(request).SerializeToString,
            response_deserializer=response_type.FromString,  # type: ignore[attr-defined]
        )
        retry = CallRetry(self._throttle, time.monotonic() + self._deadline_s)
        while True:
            timeout_s = min(self._timeout_s, retry.remaining_s(time.monotonic()))
            try:
                response: Response = await call(request, timeout=timeout_s, metadata=[*self._metadata, *headers])
                retry.succeeded()
                return response
            except grpc.RpcError as cause:
                error = from_grpc_error(cause)
                delay_s = retry.next_delay_s(error, time.monotonic(), random.random())
                if delay_s is None:
                    raise error from cause
            await asyncio.sleep(delay_s)


def _method_path(method: str) -> str:
    return f"/sentinel.jobs.v1.JobService/{method}"
