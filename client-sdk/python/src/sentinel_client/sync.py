"""The blocking client."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any, Generic, Self, TypeVar

from ._endpoint import TlsConfig
from ._loop_thread import iterate, run
from ._proto.sentinel.admin.v1 import queue_service_pb2 as queue_pb
from ._proto.sentinel.jobs.v1 import job_pb2
from ._proto.sentinel.jobs.v1 import job_service_pb2 as pb
from .client import Client, EnqueueResult, State
from .job import NewJob
from .queues import Order, Queues
from .typed import JobHandle, JobType

Payload = TypeVar("Payload")
Result = TypeVar("Result")

# `SyncClient.list` hides the built-in name within the class.
_Jobs = list[job_pb2.Job | None]
_EnqueuedJobs = list[pb.EnqueuedJob | pb.ItemError]


class SyncClient:
    """The calls of `Client` for programs without asyncio: each blocks until it has its result. Safe to use from
    many threads; one client per process is enough. The connections are served by a thread that all clients share,
    which starts with the first call, so a client that was created before a fork works in the children."""

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
        """As `Client`."""
        self._client = Client(
            endpoint, credential=credential, tls=tls, actor=actor, timeout_s=timeout_s, deadline_s=deadline_s
        )

    def with_deadline(self, deadline_s: float) -> "SyncClient":
        """As `Client.with_deadline`."""
        client = SyncClient.__new__(type(self))
        client._client = self._client.with_deadline(deadline_s)
        return client

    @property
    def queues(self) -> "SyncQueues":
        """The calls that manage queues."""
        return SyncQueues(self._client.queues)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """As `Client.close`."""
        run(self._client.close())

    def submit(self, job_type: JobType[Payload, Result], payload: Payload, **options: Any) -> "SyncJobHandle[Result]":
        """As `Client.submit`."""
        return SyncJobHandle(run(self._client.submit(job_type, payload, **options)))

    def job(self, job_type: JobType[Payload, Result], id: str) -> "SyncJobHandle[Result]":
        """As `Client.job`."""
        return SyncJobHandle(self._client.job(job_type, id))

    def enqueue(self, job: NewJob, *, request_id: str | None = None, actor: str | None = None) -> EnqueueResult:
        """As `Client.enqueue`."""
        return run(self._client.enqueue(job, request_id=request_id, actor=actor))

    def enqueue_batch(
        self, jobs: Sequence[NewJob], *, atomic: bool = False, request_id: str | None = None, actor: str | None = None
    ) -> _EnqueuedJobs:
        """As `Client.enqueue_batch`."""
        return run(self._client.enqueue_batch(jobs, atomic=atomic, request_id=request_id, actor=actor))

    def get(self, id: str, *, view: int = job_pb2.JOB_VIEW_FULL) -> job_pb2.Job:
        """As `Client.get`."""
        return run(self._client.get(id, view=view))

    def batch_get(self, ids: Sequence[str], *, view: int = job_pb2.JOB_VIEW_FULL) -> _Jobs:
        """As `Client.batch_get`."""
        return run(self._client.batch_get(ids, view=view))

    def counts(self, queues: Sequence[str] = ()) -> pb.CountsResponse:
        """As `Client.counts`."""
        return run(self._client.counts(queues))

    def list_attempts(self, id: str, *, page_size: int = 0) -> Iterator[pb.Attempt]:
        """As `Client.list_attempts`."""
        return iterate(self._client.list_attempts(id, page_size=page_size))

    def list_page(self, request: pb.ListRequest) -> pb.ListResponse:
        """As `Client.list_page`."""
        return run(self._client.list_page(request))

    def list_all(self, filter: pb.JobFilter | None = None, *, page_size: int = 0) -> Iterator[job_pb2.Job]:
        """As `Client.list_all`."""
        return iterate(self._client.list_all(filter, page_size=page_size))

    def list(
        self,
        *,
        states: Iterable[State] = (),
        queues: Iterable[str] = (),
        kinds: Iterable[str] = (),
        labels: Mapping[str, str] | None = None,
        page_size: int = 0,
    ) -> Iterator[job_pb2.Job]:
        """As `Client.list`."""
        return iterate(
            self._client.list(states=states, queues=queues, kinds=kinds, labels=labels, page_size=page_size)
        )

    def cancel(self, id: str, *, reason: str = "", actor: str | None = None) -> pb.CancelResponse:
        """As `Client.cancel`."""
        return run(self._client.cancel(id, reason=reason, actor=actor))

    def retry(self, id: str, *, request_id: str | None = None, actor: str | None = None) -> job_pb2.Job:
        """As `Client.retry`."""
        return run(self._client.retry(id, request_id=request_id, actor=actor))

    def run_now(self, id: str, *, request_id: str | None = None, actor: str | None = None) -> job_pb2.Job:
        """As `Client.run_now`."""
        return run(self._client.run_now(id, request_id=request_id, actor=actor))

    def update(self, request: pb.UpdateRequest) -> job_pb2.Job:
        """As `Client.update`."""
        return run(self._client.update(request))

    def delete(self, id: str, *, request_id: str | None = None, actor: str | None = None) -> None:
        """As `Client.delete`."""
        run(self._client.delete(id, request_id=request_id, actor=actor))

    def bulk(self, request: pb.BulkRequest) -> pb.BulkResponse:
        """As `Client.bulk`."""
        return run(self._client.bulk(request))

    def read_logs(self, id: str, *, attempt: int = 0, follow: bool = False) -> Iterator[job_pb2.LogLine]:
        """As `Client.read_logs`."""
        return iterate(self._client.read_logs(id, attempt=attempt, follow=follow))

    def read_output(self, request: pb.ReadOutputRequest) -> Iterator[pb.ReadOutputResponse]:
        """As `Client.read_output`."""
        return iterate(self._client.read_output(request))

    def watch(
        self,
        *,
        jobs: Sequence[str] | None = None,
        filter: pb.JobFilter | None = None,
        cursor: str = "",
        logs: bool = False,
        view: int = job_pb2.JOB_VIEW_UNSPECIFIED,
    ) -> Iterator[pb.WatchResponse]:
        """As `Client.watch`. The cursor after an event is its field `cursor`."""
        events = self._client.watch(jobs=jobs, filter=filter, cursor=cursor, logs=logs, view=view)
        return iterate(aiter(events))

    def wait_for_result(self, id: str, *, timeout: float | None = None) -> job_pb2.Job:
        """As `Client.wait_for_result`."""
        return run(self._client.wait_for_result(id, timeout=timeout))


class SyncJobHandle(Generic[Result]):
    """As `JobHandle`, blocking."""

    def __init__(self, handle: JobHandle[Result]) -> None:
        self._handle = handle
        self.id = handle.id
        self.deduplicated = handle.deduplicated

    def result(self, *, timeout: float | None = None) -> Result:
        """As `JobHandle.result`."""
        return run(self._handle.result(timeout=timeout))

    def get(self) -> job_pb2.Job:
        """As `JobHandle.get`."""
        return run(self._handle.get())

    def cancel(self, *, reason: str = "") -> None:
        """As `JobHandle.cancel`."""
        run(self._handle.cancel(reason=reason))

    def retry(self) -> job_pb2.Job:
        """As `JobHandle.retry`."""
        return run(self._handle.retry())


class SyncQueues:
    """As `Queues`, blocking."""

    def __init__(self, queues: Queues) -> None:
        self._queues = queues

    def create(
        self,
        name: str,
        *,
        order: Order = "aging",
        priority_boost: timedelta | None = None,
        description: str = "",
        index_paths: Sequence[str] = (),
    ) -> queue_pb.Queue:
        """As `Queues.create`."""
        return run(
            self._queues.create(
                name,
                order=order,
                priority_boost=priority_boost,
                description=description,
                index_paths=index_paths,
            )
        )

    def update(
        self,
        name: str,
        *,
        order: Order | None = None,
        priority_boost: timedelta | None = None,
        description: str | None = None,
        index_paths: Sequence[str] | None = None,
    ) -> queue_pb.Queue:
        """As `Queues.update`."""
        return run(
            self._queues.update(
                name,
                order=order,
                priority_boost=priority_boost,
                description=description,
                index_paths=index_paths,
            )
        )

    def get(self, name: str) -> queue_pb.Queue:
        """As `Queues.get`."""
        return run(self._queues.get(name))

    def list(self, *, page_size: int = 0) -> Iterator[queue_pb.Queue]:
        """As `Queues.list`."""
        return iterate(self._queues.list(page_size=page_size))

    def pause(self, name: str) -> queue_pb.Queue:
        """As `Queues.pause`."""
        return run(self._queues.pause(name))

    def resume(self, name: str) -> queue_pb.Queue:
        """As `Queues.resume`."""
        return run(self._queues.resume(name))

    def drain(self, name: str) -> queue_pb.Queue:
        """As `Queues.drain`."""
        return run(self._queues.drain(name))
