"""The handler's view of its job."""

import asyncio
import math
import threading
import time
from collections.abc import Mapping
from typing import Any, Literal, TypeVar, cast

from .._decode import DecodeError, decode
from .._json import decode_json
from .._proto.sentinel.jobs.v1 import job_pb2
from .._proto.sentinel.workers.v1 import worker_service_pb2 as pb
from .._text import truncate, valid_text
from ..errors import SentinelError
from .constants import MAX_CHECKPOINT_BYTES, MAX_CHUNK_BYTES, MAX_OUTPUT_BYTES
from .failure import read
from .interfaces import CheckpointResult, OutputResult
from .outcome import HandlerError, to_bytes
from .session import Session

Value = TypeVar("Value")

_MAX_PROGRESS_MESSAGE_BYTES = 4 * 1024
_MAX_COUNT = 2**64 - 1
_LOG_LEVELS = {
    "debug": job_pb2.LOG_LEVEL_DEBUG,
    "info": job_pb2.LOG_LEVEL_INFO,
    "warn": job_pb2.LOG_LEVEL_WARN,
    "error": job_pb2.LOG_LEVEL_ERROR,
}


def _count(value: object) -> int:
    """A number of any kind as an unsigned 64-bit integer."""
    number = cast(float, value)
    if read(lambda: bool(number == math.inf), False):
        return _MAX_COUNT
    # NaN, and values that are no numbers, cannot be converted.
    return read(lambda: min(max(0, int(number)), _MAX_COUNT), 0)


class CheckpointError(SentinelError):
    """Why a checkpoint was not stored."""

    def __init__(self, reason: Literal["fenced", "too_large", "finished"]) -> None:
        super().__init__(f"the checkpoint was not stored: {reason}")
        self.reason = reason
        """`fenced`: the attempt lost its lease. `too_large`: it exceeds 64 KiB. `finished`: the attempt finished,
        or a later checkpoint replaced this one."""


class OutputError(SentinelError):
    """Why output was not stored. Output of earlier calls stays stored."""

    def __init__(self, reason: Literal["fenced", "too_large", "rejected", "unsupported"]) -> None:
        super().__init__(f"the output was not stored: {reason}")
        self.reason = reason
        """`fenced`: the attempt lost its lease. `too_large`: the output exceeds 10 MiB. `rejected`: the server is
        missing earlier output, or has too many chunks of it. `unsupported`: the server's version does not
        support output."""


class JobContext:
    """The handler's view of one attempt of a job: its input, and what the handler reports while it runs."""

    def __init__(
        self,
        local_id: int,
        assignment: pb.Assignment,
        instance: str,
        session: Session,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self._local_id = local_id
        self._assignment = assignment
        self._session = session
        self._loop = loop
        self._cancelled = asyncio.Event()
        self._is_cancelled = threading.Event()
        self._checkpoint_seq = 0
        self._pending_checkpoint: tuple[int, asyncio.Future[None]] | None = None
        self._output_bytes = 0
        self._output_lock = asyncio.Lock()
        self._pending_output: tuple[asyncio.Future[OutputResult], int] | None = None
        """The result and the size of the chunk that waits for its acknowledgement."""
        self.instance = instance
        """The name of the worker process."""

    @property
    def job_id(self) -> str:
        """The UUID of the job."""
        return self._assignment.lease.job_id

    @property
    def kind(self) -> str:
        """The kind of the job."""
        return self._assignment.kind

    @property
    def queue(self) -> str:
        """The queue of the job."""
        return self._assignment.queue

    @property
    def run(self) -> int:
        """The number of this run. Starts at 1; each retry of the terminal job starts a new run."""
        return self._assignment.lease.run

    @property
    def attempt(self) -> int:
        """The number of this attempt within its run. Starts at 1."""
        return self._assignment.lease.attempt

    @property
    def max_attempts(self) -> int:
        """The limit of attempts per run."""
        return self._assignment.max_attempts

    @property
    def payload(self) -> bytes:
        """The input, as enqueued."""
        return self._assignment.payload

    @property
    def content_type(self) -> str:
        """The media type of the payload."""
        return self._assignment.content_type

    @property
    def labels(self) -> Mapping[str, str]:
        """The labels of the job."""
        return self._assignment.labels

    @property
    def last_checkpoint(self) -> bytes:
        """The last checkpoint of an earlier attempt. Empty when there is none."""
        return self._assignment.checkpoint

    @property
    def traceparent(self) -> str:
        """The W3C traceparent of the caller that enqueued the job. Empty when there is none."""
        return self._assignment.traceparent

    @property
    def fencing_token(self) -> str:
        """The fencing token of this attempt's lease: `job/run/attempt/epoch`. The epoch increases with each lease
        of the job. A database that stores the highest epoch per job can reject writes of an attempt that has
        lost its lease."""
        return f"{self.job_id}/{self.run}/{self.attempt}/{self._assignment.lease.epoch}"

    def payload_json(self) -> Any:
        """The input, parsed as JSON. An empty payload is `None`. Raises a `HandlerError` that is not retryable,
        with code `BAD_PAYLOAD`: a retry would fail the same way."""
        try:
            return decode_json(self.payload)
        except ValueError as error:
            raise HandlerError("payload", code="BAD_PAYLOAD", retryable=False) from error

    def payload_as(self, wanted: type[Value]) -> Value:
        """The input as a dataclass, a pydantic model, or another annotated type. Raises a `HandlerError` that is
        not retryable, with code `BAD_PAYLOAD` and the path of the part that does not fit."""
        if wanted is bytes:
            return cast(Value, self.payload)
        value = self.payload_json()
        try:
            return cast(Value, decode(wanted, value, "payload"))
        except DecodeError as error:
            raise HandlerError(str(error), code="BAD_PAYLOAD", retryable=False) from None

    @property
    def is_cancelled(self) -> bool:
        """Whether the handler should stop: the job was cancelled, the lease was lost, the attempt timed out, or
        the drain timeout has passed."""
        return self._is_cancelled.is_set()

    async def cancelled(self) -> None:
        """Waits until the handler should stop."""
        await self._cancelled.wait()

    def cancelled_blocking(self, timeout_s: float | None = None) -> bool:
        """As `cancelled`, for handlers that run on a thread. Returns `False` after the timeout."""
        return self._is_cancelled.wait(timeout_s)

    def progress(self, done: float, total: float = 0, message: str = "") -> None:
        """Reports progress in a unit of the handler's choice; `total` 0 means unknown. Cheap: only the latest
        report is kept, and at most 10 per second are sent. Never raises: numbers are clamped to 0..2^64-1, NaN
        counts as 0, and `message` is made valid and truncated to 4 KiB."""
        done, total = _count(done), _count(total)
        text = truncate(valid_text(message), _MAX_PROGRESS_MESSAGE_BYTES)
        self._session.update(lambda state: state.progress(self._local_id, done, total, text))

    def log(self, level: Literal["debug", "info", "warn", "error"], text: str) -> None:
        """Logs a line for the job. Never waits: when more than 1000 lines are unsent, the oldest are dropped.
        Lines over 64 KiB are split. Never raises: an unknown level is `info`, and lone surrogates become `?`."""
        now, line = time.time(), valid_text(text)
        wire_level = read(lambda: _LOG_LEVELS[level], job_pb2.LOG_LEVEL_INFO)
        self._session.update(lambda state: state.log(self._local_id, now, wire_level, line))

    async def checkpoint(self, data: bytes | str) -> None:
        """Stores state for the next attempt, at most 64 KiB; returns when the server has stored it. A second call
        before the first has returned replaces it. Raises `CheckpointError`."""
        content = to_bytes(data)
        if len(content) > MAX_CHECKPOINT_BYTES:
            raise CheckpointError("too_large")
        if self._pending_checkpoint is not None and not self._pending_checkpoint[1].done():
            self._pending_checkpoint[1].set_exception(CheckpointError("finished"))
        self._checkpoint_seq += 1
        seq = self._checkpoint_seq
        stored: asyncio.Future[None] = self._loop.create_future()
        self._pending_checkpoint = (seq, stored)
        self._session.update(lambda state: state.checkpoint(self._local_id, seq, content))
        await stored

    def checkpoint_blocking(self, data: bytes | str) -> None:
        """As `checkpoint`, for handlers that run on a thread."""
        asyncio.run_coroutine_threadsafe(self.checkpoint(data), self._loop).result()

    async def write_output(self, data: bytes | str) -> None:
        """Appends bytes to the output of this attempt; returns when the server has stored them. Clients read them
        with `Client.read_output`, also while the job runs. An attempt can write 10 MiB, in at most 10,000 calls;
        the output of the next attempt starts empty. Raises `OutputError`."""
        content = to_bytes(data)
        async with self._output_lock:
            # An earlier call may have been cancelled while its chunk was pending.
            await self._wait_for_pending_output()
            for start in range(0, len(content), MAX_CHUNK_BYTES):
                self._send_chunk(content[start : start + MAX_CHUNK_BYTES])
                await self._wait_for_pending_output()

    def write_output_blocking(self, data: bytes | str) -> None:
        """As `write_output`, for handlers that run on a thread."""
        asyncio.run_coroutine_threadsafe(self.write_output(data), self._loop).result()

    def _send_chunk(self, chunk: bytes) -> None:
        offset = self._output_bytes
        if offset + len(chunk) > MAX_OUTPUT_BYTES:
            raise OutputError("too_large")
        self._pending_output = (self._loop.create_future(), len(chunk))
        self._session.update(lambda state: state.output(self._local_id, offset, chunk))

    async def _wait_for_pending_output(self) -> None:
        if self._pending_output is None:
            return
        future, size = self._pending_output
        result = await asyncio.shield(future)
        self._pending_output = None
        if result != "stored":
            raise OutputError(result)
        self._output_bytes += size

    def _output_result(self, offset: int, result: OutputResult) -> None:
        pending = self._pending_output
        if pending is not None and offset == self._output_bytes and not pending[0].done():
            pending[0].set_result(result)

    def _set_cancelled(self) -> None:
        """Called on any thread."""
        self._is_cancelled.set()

    def _cancel(self) -> None:
        """Called on the event loop."""
        self._set_cancelled()
        self._cancelled.set()

    def _checkpoint_result(self, seq: int, result: CheckpointResult) -> None:
        pending = self._pending_checkpoint
        if pending is None or pending[0] != seq or pending[1].done():
            return
        if result == "stored":
            pending[1].set_result(None)
        else:
            pending[1].set_exception(CheckpointError(result))
