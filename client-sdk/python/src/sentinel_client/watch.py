"""Watches that reconnect: after a lost connection they resume from the last cursor, on any server. They
close only when all watched jobs are terminal or on a permanent error."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable

import grpc

from ._backoff import Backoff
from ._calls import OpenStream, raise_unless_cancelled
from ._proto.sentinel.jobs.v1 import job_service_pb2 as pb
from .errors import CallTimeoutError, TransportError, closes_streams, from_grpc_error
from .job import is_terminal

_RECONNECT = Backoff(0.05, 5.0)
# Servers send a keepalive every 10 s; after three missing ones the connection is dead.
_IDLE_TIMEOUT_S = 30.0


class WatchStream:
    """The event stream of a watch: responses with `snapshot`, `change`, `progress`, `log` or `gap`.
    Keepalives are not returned. It can be iterated once; leaving the loop closes it."""

    def __init__(
        self,
        open_stream: Callable[[pb.WatchRequest], OpenStream],
        request: pb.WatchRequest,
        idle_timeout_s: float = _IDLE_TIMEOUT_S,
    ) -> None:
        self._open_stream = open_stream
        self._request = request
        self._idle_timeout_s = idle_timeout_s
        # Whether each job of a watch by ids is open (not terminal).
        self._is_open: dict[str, bool] | None = None
        if request.HasField("jobs"):
            self._is_open = dict.fromkeys(request.jobs.ids, True)
        self._failures = 0

    @property
    def cursor(self) -> str:
        """The cursor after the last event that was read, for `Client.watch`. Empty before the first event."""
        return self._request.cursor

    async def __aiter__(self) -> AsyncIterator[pb.WatchResponse]:
        """Raises `ApiError` on INVALID_ARGUMENT, NOT_FOUND, UNAUTHENTICATED, PERMISSION_DENIED and
        UNIMPLEMENTED, and `TransportError` when the scheme of the endpoint does not match the server. All other
        errors are retried."""
        while True:
            frames, failed = self._open_stream(self._request)
            try:
                while True:
                    frame = await asyncio.wait_for(frames.read(), self._idle_timeout_s)
                    if frame is grpc.aio.EOF:
                        break
                    if self._apply(frame):
                        yield frame
                # A proxy may close the stream early, so that alone does not finish the watch.
                if self._is_open is not None and not any(self._is_open.values()):
                    return
            except grpc.RpcError as cause:
                error = await failed(from_grpc_error(cause))
                if closes_streams(error):
                    raise error from cause
            except asyncio.CancelledError as cause:
                raise_unless_cancelled(cause)
                raise TransportError("the client was closed during the watch") from cause
            except TimeoutError:
                await failed(CallTimeoutError("the server sent no frame"))
            finally:
                frames.cancel()
            await asyncio.sleep(_RECONNECT.delay_s(self._failures, random.random()))
            self._failures += 1

    def _apply(self, frame: pb.WatchResponse) -> bool:
        """Applies a frame; returns whether it is an event and not a keepalive."""
        self._failures = 0
        if frame.cursor:
            self._request.cursor = frame.cursor
        event = frame.WhichOneof("event")
        if event is None or event == "keepalive":
            return False
        if self._is_open is not None:
            for id in frame.snapshot.unknown_ids:
                self._set_open(id, False)
            for job in [*frame.snapshot.jobs, frame.change.job]:
                # A retry reopens a terminal job.
                self._set_open(job.id, not is_terminal(job.state))
        return True

    def _set_open(self, id: str, is_open: bool) -> None:
        if self._is_open is not None and id in self._is_open:
            self._is_open[id] = is_open
