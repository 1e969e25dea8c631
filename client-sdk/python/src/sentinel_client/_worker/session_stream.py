"""One session stream to one server. gRPC reads and writes it on its own threads, which hold the session's lock
only while a frame is created or handled."""

import threading
import time
from collections.abc import Callable, Iterator

import grpc

from .._endpoint import CHANNEL_OPTIONS, Endpoint, call_metadata, channel_credentials
from .._fork import mark_grpc_used
from .._proto.sentinel.workers.v1 import worker_service_pb2 as pb
from ..errors import ProtocolError, SentinelError, TransportError, from_grpc_error
from .constants import BYE_TIMEOUT_S, HELLO_TIMEOUT_S
from .interfaces import SessionConfig

_METHOD_PATH = "/sentinel.workers.v1.WorkerService/Session"


class SessionStream:
    def __init__(
        self, endpoint: Endpoint, config: SessionConfig, hello: pb.Hello, changed: threading.Condition
    ) -> None:
        mark_grpc_used()
        # A local pool, so that each stream has a new connection.
        options = [*CHANNEL_OPTIONS, ("grpc.use_local_subchannel_pool", 1)]
        if endpoint.is_secure:
            self._channel = grpc.secure_channel(endpoint.address, channel_credentials(config.tls), options=options)
        else:
            self._channel = grpc.insecure_channel(endpoint.address, options=options)
        self._changed = changed
        self._hello = hello
        self._next_frame: Callable[[], pb.SessionRequest | None] | None = None
        self._next_wake: Callable[[], float] = lambda: float("inf")
        self._bye_reason: str | None = None
        self._is_closed = False
        self._is_closed_by_server = False
        self._welcome: pb.Welcome | None = None
        self._error: SentinelError | None = None
        stream = self._channel.stream_stream(
            _METHOD_PATH,
            request_serializer=pb.SessionRequest.SerializeToString,
            response_deserializer=pb.SessionResponse.FromString,
        )
        self._call = stream(self._requests(), metadata=call_metadata(config.credential))

    def open(self, is_stopped: Callable[[], bool]) -> pb.Welcome:
        """Waits for the response to Hello. Called with the lock, which it releases while it waits."""
        threading.Thread(target=self._read_welcome, name="sentinel-welcome", daemon=True).start()
        deadline = time.monotonic() + HELLO_TIMEOUT_S
        while self._welcome is None and self._error is None and not is_stopped():
            remaining = deadline - time.monotonic()
            if remaining <= 0:
                self._error = TransportError(f"no Welcome within {HELLO_TIMEOUT_S:g} s")
                break
            self._changed.wait(remaining)
        if self._welcome is None:
            self.close()
            raise self._error or TransportError("stopped")
        return self._welcome

    def _read_welcome(self) -> None:
        welcome: pb.Welcome | None = None
        error: SentinelError | None = None
        try:
            first: pb.SessionResponse = next(self._call)
            if first.WhichOneof("frame") == "welcome":
                welcome = first.welcome
            else:
                error = ProtocolError("the first frame is not Welcome")
        except StopIteration:
            error = TransportError("the stream closed before Welcome")
        except Exception as cause:
            error = from_grpc_error(cause)
        with self._changed:
            self._welcome, self._error = welcome, error
            self._changed.notify_all()

    def serve(
        self,
        next_frame: Callable[[], pb.SessionRequest | None],
        next_wake: Callable[[], float],
        handle: Callable[[pb.SessionResponse], None],
        closed: Callable[[SentinelError], None],
    ) -> None:
        """Starts to send due frames and to pass received ones to `handle`, until the stream closes."""
        self._next_frame, self._next_wake = next_frame, next_wake
        self._changed.notify_all()
        threading.Thread(target=self._read, args=(handle, closed), name="sentinel-session", daemon=True).start()

    def _read(self, handle: Callable[[pb.SessionResponse], None], closed: Callable[[SentinelError], None]) -> None:
        error: SentinelError = TransportError("the server closed the stream")
        try:
            for response in self._call:
                with self._changed:
                    handle(response)
                    self._changed.notify_all()
        except Exception as cause:
            error = from_grpc_error(cause)
        with self._changed:
            self._is_closed_by_server = True
            closed(error)
            self._changed.notify_all()

    def bye(self, reason: str) -> None:
        """Sends Bye and reads until the server closes the stream, so that the connection is not closed before the
        last frames are delivered. Called with the lock, which it releases while it waits."""
        self._bye_reason = reason
        self._changed.notify_all()
        self._changed.wait_for(lambda: self._is_closed_by_server, BYE_TIMEOUT_S)
        self.close()

    def close(self) -> None:
        """Closes the connection at once."""
        self._is_closed = True
        self._changed.notify_all()
        self._call.cancel()
        # On a new thread, because closing waits for threads that may need the lock.
        threading.Thread(target=self._channel.close, name="sentinel-close", daemon=True).start()

    def _requests(self) -> Iterator[pb.SessionRequest]:
        """The frames to send. gRPC requests the next one when the previous one is written."""
        yield pb.SessionRequest(hello=self._hello)
        while True:
            with self._changed:
                frame = None
                while frame is None:
                    if self._is_closed or self._is_closed_by_server:
                        return
                    if self._bye_reason is not None:
                        frame = pb.SessionRequest(bye=pb.Bye(reason=self._bye_reason))
                        break
                    frame = self._next_frame() if self._next_frame is not None else None
                    if frame is None:
                        self._changed.wait(min(60.0, max(0.001, self._next_wake() - time.monotonic())))
                is_last = self._bye_reason is not None and frame.HasField("bye")
            yield frame
            if is_last:
                return
