"""A watch that outlives its connection: it resumes after the last cursor, on whatever server
answers, and ends only when the server says that nothing more will come or that it never will."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc

from ._backoff import Backoff
from ._proto.sentinel.jobs.v1 import job_service_pb2 as pb
from .errors import ends_streams, from_wire
from .job import is_final

_REDIAL = Backoff(0.05, 5.0)
# Servers send a keepalive each 10 s; three missing ones are a dead connection.
_IDLE_BOUND_S = 30.0


class Watch:
    """The events of a watch: frames with `snapshot`, `change`, `progress`, `log` or `gap`. Keepalives
    are not shown. Read once; leaving the loop ends it."""

    def __init__(
        self,
        call: Callable[[pb.WatchRequest], Any],
        request: pb.WatchRequest,
        idle_bound_s: float = _IDLE_BOUND_S,
    ) -> None:
        self._call = call
        self._request = request
        self._idle_bound_s = idle_bound_s
        self._open: dict[str, bool] | None = None
        if request.HasField("jobs"):
            # Of a watch by ids: which of them still run.
            self._open = dict.fromkeys(request.jobs.ids, True)
        self._failures = 0

    @property
    def cursor(self) -> str:
        """Where to resume after the last event that was read. Empty before the first."""
        return self._request.cursor

    async def __aiter__(self) -> AsyncIterator[pb.WatchResponse]:
        """Raises `ApiError` on INVALID_ARGUMENT, NOT_FOUND, UNAUTHENTICATED, PERMISSION_DENIED and
        UNIMPLEMENTED; everything else is retried."""
        while True:
            frames = self._call(self._request)
            try:
                while True:
                    frame = await asyncio.wait_for(frames.read(), self._idle_bound_s)
                    if frame is grpc.aio.EOF:
                        break
                    if self._take(frame):
                        yield frame
                # Only the server may say that a watch is over, and only a watch by ids is ever over;
                # a proxy that closes the stream looks the same.
                if self._open is not None and not any(self._open.values()):
                    return
            except grpc.RpcError as cause:
                error = from_wire(cause)
                if ends_streams(error):
                    raise error from cause
            except TimeoutError:
                pass
            finally:
                frames.cancel()
            await asyncio.sleep(_REDIAL.pause_s(self._failures, random.random()))
            self._failures += 1

    def _take(self, frame: pb.WatchResponse) -> bool:
        """Whether the frame is to be shown."""
        self._failures = 0
        if frame.cursor:
            self._request.cursor = frame.cursor
        event = frame.WhichOneof("event")
        if event is None or event == "keepalive":
            return False
        if self._open is not None:
            for id in frame.snapshot.unknown_ids:
                self._see(id, False)
            for job in [*frame.snapshot.jobs, frame.change.job]:
                # A retry of a final job opens it again.
                self._see(job.id, not is_final(job.state))
        return True

    def _see(self, id: str, is_open: bool) -> None:
        if self._open is not None and id in self._open:
            self._open[id] = is_open
