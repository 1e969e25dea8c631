"""One stream to one server. gRPC reads and writes it on threads of its own, which take the session's
lock only to make or to take a frame."""

import threading
import time
from collections.abc import Callable, Iterator

import grpc

from .._proto.sentinel.workers.v1 import worker_service_pb2 as pb
from .._wire import CHANNEL_OPTIONS, Endpoint, channel_credentials, metadata
from ..errors import ProtocolError, SentinelError, TransportError, from_wire
from .state import Setup
from .tuning import BYE_PATIENCE_S, HELLO_TIMEOUT_S

_METHOD = "/sentinel.workers.v1.WorkerService/Session"


class Wire:
    def __init__(
        self, endpoint: Endpoint, setup: Setup, hello: pb.Hello, changed: threading.Condition
    ) -> None:
        # Not shared with an earlier stream: a redial is a new connection.
        options = [*CHANNEL_OPTIONS, ("grpc.use_local_subchannel_pool", 1)]
        if endpoint.is_secure:
            self._channel = grpc.secure_channel(endpoint.address, channel_credentials(setup.tls), options=options)
        else:
            self._channel = grpc.insecure_channel(endpoint.address, options=options)
        self._changed = changed
        self._hello = hello
        self._next: Callable[[], pb.SessionRequest | None] | None = None
        self._wake_at: Callable[[], float] = lambda: float("inf")
        self._bye: str | None = None
        self._is_cut = False
        self.is_over = False
        self._welcome: pb.Welcome | None = None
        self._error: SentinelError | None = None
        stream = self._channel.stream_stream(
            _METHOD,
            request_serializer=pb.SessionRequest.SerializeToString,
            response_deserializer=pb.SessionResponse.FromString,
        )
        self._call = stream(self._frames(), metadata=metadata(setup.credential))

    def open(self, is_stopped: Callable[[], bool]) -> pb.Welcome:
        """The server's answer to Hello. Called with the lock, which it lets go of while it waits."""
        threading.Thread(target=self._read_welcome, name="sentinel-welcome", daemon=True).start()
        until = time.monotonic() + HELLO_TIMEOUT_S
        while self._welcome is None and self._error is None and not is_stopped():
            left = until - time.monotonic()
            if left <= 0:
                self._error = TransportError(f"no Welcome within {HELLO_TIMEOUT_S:g} s")
                break
            self._changed.wait(left)
        if self._welcome is None:
            self.cut()
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
            error = TransportError("the stream ended before Welcome")
        except Exception as cause:
            error = from_wire(cause)
        with self._changed:
            self._welcome, self._error = welcome, error
            self._changed.notify_all()

    def serve(
        self,
        next_frame: Callable[[], pb.SessionRequest | None],
        wake_at: Callable[[], float],
        take: Callable[[pb.SessionResponse], None],
        ended: Callable[[SentinelError], None],
    ) -> None:
        """Writes what is due and hands over what comes, until the end of the stream."""
        self._next, self._wake_at = next_frame, wake_at
        self._changed.notify_all()
        read = threading.Thread(target=self._read, args=(take, ended), name="sentinel-session", daemon=True)
        read.start()

    def _read(
        self, take: Callable[[pb.SessionResponse], None], ended: Callable[[SentinelError], None]
    ) -> None:
        error: SentinelError = TransportError("the server ended the stream")
        try:
            for response in self._call:
                with self._changed:
                    take(response)
                    self._changed.notify_all()
        except Exception as cause:
            error = from_wire(cause)
        with self._changed:
            self.is_over = True
            ended(error)
            self._changed.notify_all()

    def bye(self, reason: str) -> None:
        """Says Bye, then reads to the end, so that the connection is not cut under the last frames.
        Called with the lock, which it lets go of while it waits."""
        self._bye = reason
        self._changed.notify_all()
        self._changed.wait_for(lambda: self.is_over, BYE_PATIENCE_S)
        self.cut()

    def cut(self) -> None:
        self._is_cut = True
        self._changed.notify_all()
        self._call.cancel()
        # Closing waits for threads that may want the lock.
        threading.Thread(target=self._channel.close, name="sentinel-close", daemon=True).start()

    def _frames(self) -> Iterator[pb.SessionRequest]:
        """gRPC asks for a frame when the one before is written."""
        yield pb.SessionRequest(hello=self._hello)
        while True:
            with self._changed:
                frame = None
                while frame is None:
                    if self._is_cut or self.is_over:
                        return
                    if self._bye is not None:
                        frame = pb.SessionRequest(bye=pb.Bye(reason=self._bye))
                        break
                    frame = self._next() if self._next is not None else None
                    if frame is None:
                        self._changed.wait(min(60.0, max(0.001, self._wake_at() - time.monotonic())))
                is_last = self._bye is not None and frame.HasField("bye")
            yield frame
            if is_last:
                return
