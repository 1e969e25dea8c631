"""The core of the clients: connections to the servers of one cluster, and calls that are repeated until their
deadline."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

import grpc
import grpc.aio

from ._endpoint import CHANNEL_OPTIONS, MAX_MESSAGE_BYTES, Endpoint, TlsConfig, channel_credentials
from ._fork import check_not_forked, mark_grpc_used
from ._retry import CallRetry, RetryBudget
from ._tls_probe import certificate_problem, speaks_tls
from .errors import (
    CallTimeoutError,
    InvalidArgumentError,
    SentinelError,
    TransportError,
    UnusableClientError,
    from_grpc_error,
)

Response = TypeVar("Response")

# A call that gRPC itself does not end at its deadline ends this much later.
_DEADLINE_GRACE_S = 0.5
# Below this, a response may well have taken longer than an attempt before the deadline.
_SHORT_ATTEMPT_S = 1.0


@dataclass(frozen=True)
class CallSettings:
    timeout_s: float
    deadline_s: float
    metadata: Sequence[tuple[str, str]]


class Connections:
    """The connections to the servers of one cluster, created by the first call, on its event loop. One of them is
    used until it fails, then the next one."""

    def __init__(self, endpoints: Sequence[Endpoint], tls: TlsConfig | None) -> None:
        self._endpoints = endpoints
        self._tls = tls
        self._channels: dict[int, grpc.aio.Channel] = {}
        self._current = 0
        self._probed: set[int] = set()
        self._is_closed = False

    def current(self) -> tuple[int, grpc.aio.Channel]:
        """The number of the server and its connection."""
        if self._is_closed:
            raise UnusableClientError("the client is closed")
        mark_grpc_used()
        index = self._current
        if index not in self._channels:
            endpoint = self._endpoints[index]
            if endpoint.is_secure:
                credentials = channel_credentials(self._tls)
                channel = grpc.aio.secure_channel(endpoint.address, credentials, options=CHANNEL_OPTIONS)
            else:
                channel = grpc.aio.insecure_channel(endpoint.address, options=CHANNEL_OPTIONS)
            self._channels[index] = channel
        return index, self._channels[index]

    def failed(self, index: int) -> None:
        """The next calls use the next server."""
        if index == self._current:
            self._current = (index + 1) % len(self._endpoints)

    async def explain(self, index: int, error: SentinelError) -> SentinelError:
        """The error of a failed connection, with a better reason when the scheme or the CA does not match the
        server."""
        endpoint = self._endpoints[index]
        if endpoint.is_secure and "WRONG_VERSION_NUMBER" in str(error):
            return UnusableClientError(f"the server at {endpoint.address} does not speak TLS: use http:// ({error})")
        # Another attempt gets the same certificate.
        if endpoint.is_secure and "CERTIFICATE_VERIFY_FAILED" in str(error):
            return UnusableClientError(
                f"the certificate of the server at {endpoint.address} does not fit the CA: set TlsConfig.ca ({error})"
            )
        if index in self._probed:
            return error
        if endpoint.is_secure:
            self._probed.add(index)
            # gRPC tells only of the last of several addresses.
            ca = None if self._tls is None else self._tls.ca
            problem = await asyncio.to_thread(certificate_problem, endpoint.address, ca)
            if problem is None:
                return error
            return UnusableClientError(f"the certificate of the server at {endpoint.address} is refused: {problem}")
        if "Connection refused" in str(error):
            return error
        self._probed.add(index)
        if await asyncio.to_thread(speaks_tls, endpoint.address):
            return UnusableClientError(f"the server at {endpoint.address} speaks TLS: use https:// ({error})")
        return error

    async def call_failed(self, index: int, error: SentinelError) -> SentinelError:
        """Uses the next server when the connection has failed. Returns the error, with a better reason if there is
        one."""
        if not isinstance(error, TransportError | CallTimeoutError):
            return error
        self.failed(index)
        # Not after a timeout: the call has no time left.
        return error if isinstance(error, CallTimeoutError) else await self.explain(index, error)

    async def close(self) -> None:
        self._is_closed = True
        channels, self._channels = self._channels, {}
        if channels:
            check_not_forked()
        for channel in channels.values():
            await channel.close()


class OpenStream(NamedTuple):
    frames: Any
    failed: Callable[[SentinelError], Awaitable[SentinelError]]
    """Called when the stream fails. Returns the error with a better reason, if there is one."""


class Calls:
    """Makes calls with shared settings."""

    def __init__(self, connections: Connections, settings: CallSettings, budget: RetryBudget) -> None:
        self.connections = connections
        self.settings = settings
        self.budget = budget

    async def unary(
        self, path: str, request: Any, response_type: type[Response], headers: Sequence[tuple[str, str]] = ()
    ) -> Response:
        """Makes a call and repeats it until its deadline. Only for calls that are safe to repeat."""
        if request.ByteSize() > MAX_MESSAGE_BYTES:
            size = request.ByteSize()
            raise InvalidArgumentError(f"the request has {size} bytes; at most {MAX_MESSAGE_BYTES} are allowed")
        retry = CallRetry(self.budget, time.monotonic() + self.settings.deadline_s)
        previous: SentinelError | None = None
        while True:
            remaining_s = retry.remaining_s(time.monotonic())
            try:
                response = await self._attempt(path, request, response_type, headers, retry)
                retry.succeeded()
                return response
            except UnusableClientError:
                raise
            except SentinelError as error:
                delay_s = retry.next_delay_s(error, time.monotonic(), random.random())
                if delay_s is None:
                    # A last attempt that had little time left says less than the one before.
                    is_cut_short = isinstance(error, CallTimeoutError) and remaining_s < _SHORT_ATTEMPT_S
                    raise (previous or error) if is_cut_short else error from error.__cause__
                previous = error
            await asyncio.sleep(delay_s)
            while (wait_s := retry.wait_for_budget_s(time.monotonic(), random.random())) > 0:
                await asyncio.sleep(wait_s)

    async def _attempt(
        self,
        path: str,
        request: Any,
        response_type: type[Response],
        headers: Sequence[tuple[str, str]],
        retry: CallRetry,
    ) -> Response:
        index, channel = self.connections.current()
        timeout_s = min(self.settings.timeout_s, retry.remaining_s(time.monotonic()))
        call = channel.unary_unary(
            path,
            request_serializer=type(request).SerializeToString,
            response_deserializer=response_type.FromString,  # type: ignore[attr-defined]
        )
        started = time.monotonic()
        try:
            async with asyncio.timeout(timeout_s + _DEADLINE_GRACE_S):
                response: Response = await call(
                    request, timeout=timeout_s, metadata=[*self.settings.metadata, *headers]
                )
                return response
        except TimeoutError as cause:
            late = CallTimeoutError("the server did not respond within the timeout")
            raise await self.connections.call_failed(index, late) from cause
        except asyncio.CancelledError as cause:
            raise_unless_cancelled(cause)
            raise UnusableClientError("the client was closed during the call") from cause
        except (TypeError, ValueError) as cause:
            raise InvalidArgumentError(f"invalid metadata: {cause}") from cause
        except grpc.RpcError as cause:
            error = from_grpc_error(cause, time.monotonic() - started >= timeout_s)
            raise await self.connections.call_failed(index, error) from cause

    def open_stream(self, path: str, request: Any, response_type: type[Any]) -> OpenStream:
        """Opens a stream of responses."""
        index, channel = self.connections.current()
        read = channel.unary_stream(
            path,
            request_serializer=type(request).SerializeToString,
            response_deserializer=response_type.FromString,
        )
        frames = read(request, metadata=self.settings.metadata)
        return OpenStream(frames, lambda error: self.connections.call_failed(index, error))

    async def stream(self, path: str, request: Any, response_type: type[Response]) -> AsyncIterator[Response]:
        """The responses of a stream, which fails when its connection is lost."""
        frames, failed = self.open_stream(path, request, response_type)
        try:
            async for response in frames:
                yield response
        except grpc.RpcError as cause:
            error = from_grpc_error(cause)
            raise await failed(error) from cause
        finally:
            frames.cancel()


def raise_unless_cancelled(error: asyncio.CancelledError) -> None:
    """Raises the error when it cancels this task, and not only the call that this task awaits."""
    task = asyncio.current_task()
    if task is not None and task.cancelling() > 0:
        raise error
