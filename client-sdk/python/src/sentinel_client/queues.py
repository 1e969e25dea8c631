"""The calls that manage queues."""

from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from typing import Any, Literal, TypeVar

from ._calls import Calls
from ._proto.sentinel.admin.v1 import queue_service_pb2 as pb
from ._request import build, choose
from ._time import wire_duration

_ORDERS = {"aging": pb.QUEUE_ORDER_AGING, "strict": pb.QUEUE_ORDER_STRICT}

Response = TypeVar("Response")
Order = Literal["aging", "strict"]


class Queues:
    """Creates, changes, pauses, resumes and drains queues. With credentials, these calls need the role ADMIN, or as
    docs/security.md says."""

    def __init__(self, calls: Calls, actor: str) -> None:
        self._calls = calls
        self._actor = actor

    async def create(
        self,
        name: str,
        *,
        order: Order = "aging",
        priority_boost: timedelta | None = None,
        description: str = "",
        index_paths: Sequence[str] = (),
    ) -> pb.Queue:
        """Creates a queue. Succeeds when it exists with the same settings; otherwise raises `ApiError` with reason
        QUEUE_EXISTS.

        `order`: `aging`: by ready time, where each priority level counts as `priority_boost` of waiting time
        (default 60 s, 1 ms..24 h); `strict`: by priority, then by ready time. `description`: at most 1024 bytes.
        `index_paths`: at most 8 payload fields that jobs can be filtered by, such as `order.customer.id`.
        """
        queue = _queue(name, order, priority_boost, description, index_paths)
        request = build(pb.CreateQueueRequest, "create", queue=queue, actor=self._actor)
        return (await self._call("CreateQueue", request, pb.CreateQueueResponse)).queue

    async def update(
        self,
        name: str,
        *,
        order: Order | None = None,
        priority_boost: timedelta | None = None,
        description: str | None = None,
        index_paths: Sequence[str] | None = None,
    ) -> pb.Queue:
        """Changes the settings that are not `None`; see `create`."""
        given = {
            "order": order,
            "priority_boost": priority_boost,
            "description": description,
            "index_paths": index_paths,
        }
        paths = [field for field, value in given.items() if value is not None]
        if not paths:
            return await self.get(name)
        queue = _queue(name, order or "aging", priority_boost, description or "", index_paths or ())
        request = build(pb.UpdateQueueRequest, "update", queue=queue, actor=self._actor)
        request.update_mask.paths.extend(paths)
        return (await self._call("UpdateQueue", request, pb.UpdateQueueResponse)).queue

    async def get(self, name: str) -> pb.Queue:
        """Gets a queue."""
        request = build(pb.GetQueueRequest, "get", name=name)
        return (await self._call("GetQueue", request, pb.GetQueueResponse)).queue

    async def list(self, *, page_size: int = 0) -> AsyncIterator[pb.Queue]:
        """Lists all queues by name. Pages are fetched as the iterator is read."""
        request = build(pb.ListQueuesRequest, "list", page_size=page_size)
        while True:
            page = await self._call("ListQueues", request, pb.ListQueuesResponse)
            for queue in page.queues:
                yield queue
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token

    async def pause(self, name: str) -> pb.Queue:
        """Pauses a queue: no job starts; running jobs continue and new ones are accepted. Idempotent."""
        request = build(pb.PauseQueueRequest, "pause", name=name, actor=self._actor)
        return (await self._call("PauseQueue", request, pb.PauseQueueResponse)).queue

    async def resume(self, name: str) -> pb.Queue:
        """Ends a pause or a drain. Idempotent."""
        request = build(pb.ResumeQueueRequest, "resume", name=name, actor=self._actor)
        return (await self._call("ResumeQueue", request, pb.ResumeQueueResponse)).queue

    async def drain(self, name: str) -> pb.Queue:
        """Drains a queue: new jobs are refused, existing ones run. Idempotent."""
        request = build(pb.DrainQueueRequest, "drain", name=name, actor=self._actor)
        return (await self._call("DrainQueue", request, pb.DrainQueueResponse)).queue

    async def _call(self, method: str, request: Any, response_type: type[Response]) -> Response:
        return await self._calls.unary(f"/sentinel.admin.v1.QueueService/{method}", request, response_type)


def _queue(
    name: str, order: Order, priority_boost: timedelta | None, description: str, index_paths: Sequence[str]
) -> pb.Queue:
    queue = build(
        pb.Queue,
        "queue",
        name=name,
        order=choose("queue.order", order, _ORDERS),
        description=description,
        index_paths=index_paths,
    )
    if priority_boost is not None:
        queue.priority_boost.CopyFrom(wire_duration(priority_boost))
    return queue
