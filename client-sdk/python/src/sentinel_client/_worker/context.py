"""What a handler knows about its job and may tell the server while it runs."""

import asyncio
import json
import threading
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from .._proto.sentinel.jobs.v1 import job_pb2
from .._proto.sentinel.workers.v1 import worker_service_pb2 as pb
from .._wire import split_text
from ..errors import SentinelError
from .outcome import HandlerError, to_bytes
from .tuning import MAX_CHECKPOINT_BYTES, MAX_OUTPUT_BYTES, MAX_PIECE_BYTES

if TYPE_CHECKING:
    from .session import Session
    from .state import CheckpointAnswer, OutputAnswer

_MAX_PROGRESS_MESSAGE_BYTES = 4 * 1024
_LEVELS = {
    "debug": job_pb2.LOG_LEVEL_DEBUG,
    "info": job_pb2.LOG_LEVEL_INFO,
    "warn": job_pb2.LOG_LEVEL_WARN,
    "error": job_pb2.LOG_LEVEL_ERROR,
}


class CheckpointError(SentinelError):
    """Why a checkpoint was not stored: the lease was lost (`fenced`), it is over 64 KiB
    (`too_large`), or the attempt ended or a later checkpoint took its place (`ended`)."""

    def __init__(self, why: Literal["fenced", "too_large", "ended"]) -> None:
        super().__init__(f"the checkpoint was not stored: {why}")
        self.why = why


class OutputError(SentinelError):
    """Why output was not stored; what was handed out before stays. The lease was lost (`fenced`), it
    would be over 10 MiB (`too_large`), the server does not have what came before or has too many
    pieces (`not_taken`), or it is of a version that takes none (`unsupported`)."""

    def __init__(self, why: Literal["fenced", "too_large", "not_taken", "unsupported"]) -> None:
        super().__init__(f"the output was not stored: {why}")
        self.why = why


class Job:
    """One attempt of a job, as its handler sees it."""

    def __init__(
        self, no: int, assignment: pb.Assignment, instance: str, session: "Session", loop: asyncio.AbstractEventLoop
    ) -> None:
        self._no = no
        self._assignment = assignment
        self._session = session
        self._loop = loop
        self._cancelled = asyncio.Event()
        self._is_cancelled = threading.Event()
        self._checkpoint_seq = 0
        self._waiting: tuple[int, asyncio.Future[None]] | None = None
        self._output_bytes = 0
        self._output_turn = asyncio.Lock()
        self._handing: tuple[asyncio.Future[OutputAnswer], int] | None = None
        self.instance = instance
        """Name of the worker process."""

    @property
    def id(self) -> str:
        """UUID of the job."""
        return self._assignment.lease.job_id

    @property
    def kind(self) -> str:
        """Which handler was asked for."""
        return self._assignment.kind

    @property
    def queue(self) -> str:
        """From which queue."""
        return self._assignment.queue

    @property
    def run(self) -> int:
        """Rises with each retry of the final job; starts at 1."""
        return self._assignment.lease.run

    @property
    def attempt(self) -> int:
        """The attempt of this run; starts at 1."""
        return self._assignment.lease.attempt

    @property
    def max_attempts(self) -> int:
        """Attempts in all that this run may have."""
        return self._assignment.max_attempts

    @property
    def payload(self) -> bytes:
        """The input, as enqueued."""
        return self._assignment.payload

    @property
    def content_type(self) -> str:
        """Media type of the payload."""
        return self._assignment.content_type

    @property
    def labels(self) -> Mapping[str, str]:
        """As enqueued."""
        return self._assignment.labels

    @property
    def last_checkpoint(self) -> bytes:
        """What an attempt before left for this one. Empty: nothing."""
        return self._assignment.checkpoint

    @property
    def traceparent(self) -> str:
        """W3C traceparent of the caller that enqueued it. Empty: none."""
        return self._assignment.traceparent

    @property
    def fence(self) -> str:
        """Names this right to run: `job/run/attempt/epoch`. A store that keeps the highest fence it
        has seen of a job can refuse the writes of an attempt that was declared lost."""
        return f"{self.id}/{self.run}/{self.attempt}/{self._assignment.lease.epoch}"

    def json(self) -> Any:
        """The input as JSON; an empty payload reads as `None`. What can not be read fails the job,
        code `BAD_PAYLOAD`, without another attempt: the same payload fails each time."""
        try:
            return json.loads(self.payload or b"null")
        except ValueError as error:
            raise HandlerError("payload", code="BAD_PAYLOAD", retryable=False) from error

    @property
    def is_cancelled(self) -> bool:
        """Whether the handler should stop: a cancel, a lost lease, a time-out or the end of a drain."""
        return self._is_cancelled.is_set()

    async def cancelled(self) -> None:
        """Returns when the handler should stop."""
        await self._cancelled.wait()

    def wait_cancelled(self, timeout_s: float | None = None) -> bool:
        """As `cancelled`, for handlers that are no coroutines."""
        return self._is_cancelled.wait(timeout_s)

    def progress(self, done: int, total: int = 0, message: str = "") -> None:
        """Tells how far the job has come, in the handler's own unit; `total` 0: not known. Cheap:
        only the newest is kept, and at most 10 a second are sent. `message` is cut at 4 KiB."""
        done, total = max(0, int(done)), max(0, int(total))
        text = split_text(message, _MAX_PROGRESS_MESSAGE_BYTES)[0]
        self._session.tell(lambda state: state.progressed(self._no, done, total, text))

    def log(self, level: Literal["debug", "info", "warn", "error"], text: str) -> None:
        """Logs a line for the job. Never waits: when over 1000 lines are not yet sent, the oldest of
        them are dropped. Lines over 64 KiB are split."""
        now = time.time()
        self._session.tell(lambda state: state.logged(self._no, now, _LEVELS[level], text))

    async def checkpoint(self, data: bytes | str) -> None:
        """Stores state for the next attempt, at most 64 KiB; returns once the server has it. A second
        call before the first one returned takes its place. Raises `CheckpointError`."""
        content = to_bytes(data)
        if len(content) > MAX_CHECKPOINT_BYTES:
            raise CheckpointError("too_large")
        if self._waiting is not None and not self._waiting[1].done():
            self._waiting[1].set_exception(CheckpointError("ended"))
        self._checkpoint_seq += 1
        seq = self._checkpoint_seq
        stored: asyncio.Future[None] = self._loop.create_future()
        self._waiting = (seq, stored)
        self._session.tell(lambda state: state.checkpoint(self._no, seq, content))
        await stored

    def checkpoint_blocking(self, data: bytes | str) -> None:
        """As `checkpoint`, for handlers that are no coroutines."""
        asyncio.run_coroutine_threadsafe(self.checkpoint(data), self._loop).result()

    async def output(self, data: bytes | str) -> None:
        """Hands out bytes before the job ends, behind those of the calls before; returns once the
        server has them. Whoever wants them reads them with `read_output`, also while the job runs. An
        attempt may hand out 10 MiB, in at most 10,000 calls; the next attempt starts anew. Raises
        `OutputError`."""
        content = to_bytes(data)
        async with self._output_turn:
            # Of a call before that stopped waiting: this one goes on behind its piece.
            await self._settled()
            for start in range(0, len(content), MAX_PIECE_BYTES):
                piece = content[start : start + MAX_PIECE_BYTES]
                self._hand(piece)
                await self._settled()

    def output_blocking(self, data: bytes | str) -> None:
        """As `output`, for handlers that are no coroutines."""
        asyncio.run_coroutine_threadsafe(self.output(data), self._loop).result()

    def _hand(self, piece: bytes) -> None:
        offset = self._output_bytes
        if offset + len(piece) > MAX_OUTPUT_BYTES:
            raise OutputError("too_large")
        self._handing = (self._loop.create_future(), len(piece))
        self._session.tell(lambda state: state.output(self._no, offset, piece))

    async def _settled(self) -> None:
        """The piece on its way, if there is one, is stored."""
        if self._handing is None:
            return
        answered, size = self._handing
        answer = await asyncio.shield(answered)
        self._handing = None
        if answer != "stored":
            raise OutputError(answer)
        self._output_bytes += size

    def _handed(self, offset: int, answer: "OutputAnswer") -> None:
        if self._handing is not None and offset == self._output_bytes and not self._handing[0].done():
            self._handing[0].set_result(answer)

    def _cancel(self) -> None:
        self._is_cancelled.set()
        self._cancelled.set()

    def _checkpointed(self, seq: int, answer: "CheckpointAnswer") -> None:
        if self._waiting is None or self._waiting[0] != seq or self._waiting[1].done():
            return
        if answer == "stored":
            self._waiting[1].set_result(None)
        else:
            self._waiting[1].set_exception(CheckpointError(answer))
