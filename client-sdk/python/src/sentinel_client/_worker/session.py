"""The I/O of a session: connects, transfers frames between the stream and the session state, and switches to
another server on GoAway. It runs on separate threads, so that a handler that never yields cannot delay a
ping. All decisions are in `SessionState`. One lock guards all of it."""

import logging
import random
import threading
import time
from collections.abc import Callable

from .._endpoint import Endpoint
from .._proto.sentinel.workers.v1 import worker_service_pb2 as pb
from ..errors import SentinelError, TransportError, closes_streams, from_grpc_error
from .constants import HEALTHY_AFTER_S, RECONNECT
from .events import DrainStarted, SessionLost, SessionOpened
from .interfaces import Handlers, SessionConfig
from .session_state import SessionState
from .session_stream import SessionStream

_log = logging.getLogger("sentinel_client.worker")


class Session:
    def __init__(self, config: SessionConfig, handlers: Handlers) -> None:
        self._config = config
        self._events = handlers.events
        self._changed = threading.Condition(threading.RLock())
        self._state = SessionState(config, handlers, time.monotonic())
        self._stream: SessionStream | None = None
        self._stream_error: SentinelError | None = None
        self._is_stopped = False
        # Streams that failed or were short-lived, in a row.
        self._failures = 0
        self._next_endpoint = 0

    def update(self, change: Callable[[SessionState], None]) -> None:
        """Changes the session state from any thread and wakes the session."""
        with self._changed:
            change(self._state)
            self._changed.notify_all()

    def drain(self) -> None:
        now = time.monotonic()
        is_first = not self.is_draining()
        self.update(lambda state: state.drain.begin(now, now + self._config.drain_timeout_s))
        if is_first:
            self._events.emit(DrainStarted())

    def is_draining(self) -> bool:
        with self._changed:
            return self._state.drain.has_started

    def stop(self) -> None:
        with self._changed:
            self._is_stopped = True
            self._changed.notify_all()

    def run(self) -> None:
        """Runs until the drain is complete or the worker is stopped. Raises when a server rejects the first Hello."""
        with self._changed:
            while True:
                opened_at: float | None = None
                try:
                    self._sleep(RECONNECT.reconnect_delay_s(self._failures, random.random()))
                    if self._should_exit():
                        return
                    stream = self._open(self._endpoint())
                    opened_at = time.monotonic()
                    if self._serve(stream):
                        return
                except SentinelError as error:
                    self._record_failure(error, opened_at)
                    if self._is_stopped:
                        return
                    if closes_streams(error) and not self._state.was_welcomed:
                        raise

    def _should_exit(self) -> bool:
        return self._is_stopped or self._state.drain.is_complete

    def _sleep(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while not self._should_exit() and (remaining := until - time.monotonic()) > 0:
            self._changed.wait(min(remaining, self._until_wake()))
            self._state.advance(time.monotonic())

    def _until_wake(self) -> float:
        return min(60.0, max(0.001, self._state.next_wake() - time.monotonic()))

    def _endpoint(self) -> Endpoint:
        return self._config.endpoints[self._next_endpoint % len(self._config.endpoints)]

    def _open(self, endpoint: Endpoint) -> SessionStream:
        """Sends Hello on a new connection. Its stream becomes the current one when Welcome arrives."""
        hello = self._state.hello(time.monotonic())
        stream = SessionStream(endpoint, self._config, hello, self._changed)
        try:
            welcome = stream.open(lambda: self._is_stopped)
            self._state.welcome(time.monotonic(), welcome)
        except SentinelError:
            stream.close()
            raise
        self._stream = stream
        self._stream_error = None

        def next_frame() -> pb.SessionRequest | None:
            return self._state.next_frame(time.monotonic()) if self._stream is stream else None

        def closed(error: SentinelError) -> None:
            # The error of a stream that was replaced is irrelevant.
            if self._stream is stream:
                self._stream_error = self._stream_error or error

        stream.serve(next_frame, self._state.next_wake, lambda response: self._handle_frame(stream, response), closed)
        _log.info("session opened: %s", welcome.server)
        self._events.emit(SessionOpened(welcome.server))
        return stream

    def _handle_frame(self, stream: SessionStream, response: pb.SessionResponse) -> None:
        now = time.monotonic()
        if self._stream is stream:
            self._state.frame(now, response)
        elif response.HasField("report_ack"):
            # The stream is being replaced. Only its verdicts are applied: jobs that it still assigns are not
            # listed in Hello and go back to their queue.
            self._state.report_ack(now, response.report_ack)
        elif response.HasField("revoked"):
            self._state.revoked(now, response.revoked)

    def _serve(self, stream: SessionStream) -> bool:
        """Returns after the drain is complete; raises when the stream is lost."""
        while True:
            now = time.monotonic()
            self._state.advance(now)
            if self._state.drain.is_complete:
                stream.bye("drained")
                return True
            if self._is_stopped:
                raise TransportError("stopped")
            if self._stream_error is not None:
                raise self._stream_error
            if (dead_reason := self._state.dead_reason(now)) is not None:
                raise TransportError(dead_reason)
            within_s = self._state.take_go_away()
            if within_s is not None:
                stream = self._switch_server(stream, within_s)
            self._changed.wait(self._until_wake())

    def _switch_server(self, old: SessionStream, within_s: float) -> SessionStream:
        """Opens the session on another server after a random delay within `within_s`, then closes the old
        stream."""
        _log.info("server is shutting down, moving to another one")
        until = time.monotonic() + within_s * random.random() / 2
        while time.monotonic() < until and self._stream_error is None and not self._is_stopped:
            self._changed.wait(min(self._until_wake(), max(0.001, until - time.monotonic())))
            self._state.advance(time.monotonic())
        if self._stream_error is not None or self._is_stopped:
            return old
        self._next_endpoint += 1
        # Once Hello is sent on the new connection, only verdicts of the old stream are applied.
        self._stream = None
        try:
            new = self._open(self._endpoint())
        except SentinelError:
            old.close()
            raise
        threading.Thread(target=self._close_gracefully, args=(old,), name="sentinel-bye", daemon=True).start()
        return new

    def _close_gracefully(self, old: SessionStream) -> None:
        with self._changed:
            old.bye("moved")

    def _record_failure(self, error: SentinelError, opened_at: float | None) -> None:
        if self._stream is not None:
            self._stream.close()
        self._stream = None
        now = time.monotonic()
        self._state.disconnected(now)
        # A short-lived stream counts as a failure, so that the reconnects back off.
        if opened_at is not None and now - opened_at >= HEALTHY_AFTER_S:
            self._failures = 0
        else:
            self._failures += 1
            self._next_endpoint += 1
        # Logged at a decreasing rate, so that a long outage does not fill the disk.
        self._events.emit(SessionLost(from_grpc_error(error)))
        if self._failures & (self._failures - 1) == 0 or self._failures % 64 == 0:
            _log.warning("session stream lost, reconnecting: %s", from_grpc_error(error))
