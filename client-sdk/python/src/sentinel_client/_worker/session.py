"""The session's IO: dials, moves frames between the stream and the state, moves to another server
when asked. It has threads of its own, so that a handler that never yields can not delay a ping, and
decides nothing that the state could decide. One lock guards all of it."""

import logging
import random
import threading
import time
from collections.abc import Callable

from .._proto.sentinel.workers.v1 import worker_service_pb2 as pb
from .._wire import Endpoint
from ..errors import SentinelError, TransportError, ends_streams, from_wire
from .state import Handlers, SessionState, Setup
from .tuning import HEALTHY_AFTER_S, REDIAL
from .wire import Wire

_log = logging.getLogger("sentinel_client.worker")


class Session:
    def __init__(self, setup: Setup, handlers: Handlers) -> None:
        self._setup = setup
        self._changed = threading.Condition(threading.RLock())
        self._state = SessionState(setup, handlers, time.monotonic())
        self._wire: Wire | None = None
        self._end: SentinelError | None = None
        self._is_stopped = False
        self._failures = 0
        self._next_endpoint = 0

    def tell(self, what: Callable[[SessionState], None]) -> None:
        """What handlers and the caller say."""
        with self._changed:
            what(self._state)
            self._changed.notify_all()

    def drain(self) -> None:
        now = time.monotonic()
        self.tell(lambda state: state.drain.begin(now, now + self._setup.drain_timeout_s))

    def stop(self) -> None:
        with self._changed:
            self._is_stopped = True
            self._changed.notify_all()

    def run(self) -> None:
        """Until drained or stopped. Raises when a server refuses the first Hello."""
        with self._changed:
            while True:
                opened_at: float | None = None
                try:
                    self._pause(REDIAL.redial_s(self._failures, random.random()))
                    if self._must_leave():
                        return
                    wire = self._open(self._endpoint())
                    opened_at = time.monotonic()
                    if self._serve(wire):
                        return
                except SentinelError as error:
                    self._lost(error, opened_at)
                    if self._is_stopped:
                        return
                    if ends_streams(error) and not self._state.was_welcomed:
                        raise

    def _must_leave(self) -> bool:
        return self._is_stopped or self._state.drain.is_done

    def _pause(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while not self._must_leave() and (left := until - time.monotonic()) > 0:
            self._changed.wait(min(left, self._until_wake()))
            self._state.advance(time.monotonic())

    def _until_wake(self) -> float:
        return min(60.0, max(0.001, self._state.next_wake() - time.monotonic()))

    def _endpoint(self) -> Endpoint:
        return self._setup.endpoints[self._next_endpoint % len(self._setup.endpoints)]

    def _open(self, endpoint: Endpoint) -> Wire:
        """Greets on a new connection, which is the session's from its Welcome on."""
        hello = self._state.hello(time.monotonic())
        wire = Wire(endpoint, self._setup, hello, self._changed)
        try:
            welcome = wire.open(lambda: self._is_stopped)
            self._state.welcome(time.monotonic(), welcome)
        except SentinelError:
            wire.cut()
            raise
        self._wire = wire
        self._end = None

        def next_frame() -> pb.SessionRequest | None:
            return self._state.next_frame(time.monotonic()) if self._wire is wire else None

        def ended(error: SentinelError) -> None:
            # Of a stream that was left, nobody wants to know.
            if self._wire is wire:
                self._end = self._end or error

        wire.serve(next_frame, self._state.next_wake, lambda response: self._frame(wire, response), ended)
        _log.info("the session is open at %s", welcome.server)
        return wire

    def _frame(self, wire: Wire, response: pb.SessionResponse) -> None:
        now = time.monotonic()
        if self._wire is wire:
            self._state.frame(now, response)
        elif response.HasField("report_ack"):
            # The stream is being left. What it still assigns was not in the Hello and goes back to
            # its queue unreceived; verdicts count.
            self._state.report_ack(now, response.report_ack)
        elif response.HasField("revoked"):
            self._state.revoked(now, response.revoked)

    def _serve(self, wire: Wire) -> bool:
        """Until all is said; raises when the stream is lost."""
        while True:
            now = time.monotonic()
            self._state.advance(now)
            if self._state.drain.is_done:
                wire.bye("drained")
                return True
            if self._is_stopped:
                raise TransportError("stopped")
            if self._end is not None:
                raise self._end
            if (why := self._state.dead(now)) is not None:
                raise TransportError(why)
            within = self._state.take_go_away()
            if within is not None:
                wire = self._move(wire, within)
            self._changed.wait(self._until_wake())

    def _move(self, old: Wire, within: float) -> Wire:
        """Opens the session on another server at a random moment within the given time, then leaves
        the old one."""
        _log.info("the server will leave; moving to another one")
        until = time.monotonic() + within * random.random() / 2
        while time.monotonic() < until and self._end is None and not self._is_stopped:
            self._changed.wait(min(self._until_wake(), max(0.001, until - time.monotonic())))
            self._state.advance(time.monotonic())
        if self._end is not None or self._is_stopped:
            return old
        self._next_endpoint += 1
        # From the Hello on, the old stream only brings verdicts.
        self._wire = None
        try:
            new = self._open(self._endpoint())
        except SentinelError:
            old.cut()
            raise
        threading.Thread(target=self._leave, args=(old,), name="sentinel-farewell", daemon=True).start()
        return new

    def _leave(self, old: Wire) -> None:
        with self._changed:
            old.bye("moved")

    def _lost(self, error: SentinelError, opened_at: float | None) -> None:
        if self._wire is not None:
            self._wire.cut()
        self._wire = None
        now = time.monotonic()
        self._state.disconnected(now)
        # A server that welcomes and then dies, again and again, is not dialled in a loop.
        if opened_at is not None and now - opened_at >= HEALTHY_AFTER_S:
            self._failures = 0
        else:
            self._failures += 1
            self._next_endpoint += 1
        # A server that is away for a day must not fill a disk: repeats get rarer.
        if self._failures & (self._failures - 1) == 0 or self._failures % 64 == 0:
            _log.warning("the session lost its stream: %s", from_wire(error))
