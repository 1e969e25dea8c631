"""Runs the handlers of one session: coroutine functions on the caller's event loop, functions on threads."""

import asyncio
import contextlib
import contextvars
import inspect
import logging
import signal
import threading
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import cast

from .._proto.sentinel.workers.v1 import worker_service_pb2 as pb
from .._text import valid_text
from ..errors import SentinelError
from .events import Events, JobFinished, JobStarted, Outcome
from .failure import has_class, read
from .interfaces import CheckpointResult, OutputResult, SessionConfig
from .job_context import JobContext
from .outcome import Cancelled, Failed, HandlerOutcome, Release, Snooze, Succeeded, outcome_of
from .session import Session
from .signals import SHUTDOWN_SIGNALS

_log = logging.getLogger("sentinel_client.worker")

Handler = Callable[[JobContext], Awaitable[object]] | Callable[[JobContext], object]
"""Runs one attempt: a coroutine function on the caller's event loop, or a function on a thread.

The returned value is the result: bytes and text unchanged, `None` as empty, anything else as JSON, at most
1 MiB. `Snooze`, `Release` and `Cancelled` are other outcomes. A raised exception of any class is a failure, which
is retryable unless it is a `HandlerError` with `retryable=False`. A value that has no JSON, such as NaN, is a
failure with code `BAD_RESULT` that is not retryable."""

_OUTCOME_NAMES: dict[type, Outcome] = {
    Succeeded: "succeeded",
    Failed: "failed",
    Snooze: "snoozed",
    Release: "released",
    Cancelled: "cancelled",
}


class _Attempt:
    """One call of a handler."""

    def __init__(self, local_id: int, job: JobContext) -> None:
        self.local_id = local_id
        self.job = job
        self.task: asyncio.Task[None] | None = None
        # The session no longer waits for this handler.
        self.is_abandoned = False
        self.started_at_s = time.time()
        self.started = time.monotonic()


class Runner:
    """The handlers of one call of `Worker.run`. Its context variables are those of the caller."""

    def __init__(self, config: SessionConfig, handlers: Mapping[str, Handler], loop: asyncio.AbstractEventLoop) -> None:
        self._config = config
        self._handlers = handlers
        self._loop = loop
        self._context = contextvars.copy_context()
        self._attempts: dict[int, _Attempt] = {}
        self._run_task = read(asyncio.current_task, None)
        self.events = Events(config.on_event, self._call_on_loop)
        self.session = Session(config, self)

    def run_session(self, finished: "asyncio.Future[None]") -> None:
        """Runs the session on the current thread and then completes the future."""
        error: BaseException | None = None
        try:
            self.session.run()
        except SentinelError as session_error:
            error = session_error
        except BaseException as unexpected:
            error = SentinelError(f"the session thread failed: {unexpected!r}")

        def complete() -> None:
            if finished.done():
                return
            if error is None:
                finished.set_result(None)
            else:
                finished.set_exception(error)

        self._call_on_loop(complete)

    def _call_on_loop(self, callback: Callable[[], None]) -> None:
        # Fails when the event loop is closed, as during the exit of the process.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(callback)

    # Called by the session on its threads.

    def start(self, local_id: int, assignment: pb.Assignment) -> None:
        """Never raises: a failure here would be one of the session of all jobs."""
        job = JobContext(local_id, assignment, self._config.instance, self.session, self._loop)
        attempt = self._attempts[local_id] = _Attempt(local_id, job)
        handler = self._handlers.get(job.kind)
        if handler is None:
            # A server assigns only declared kinds. If it does not, another worker may have the handler.
            message = f"this worker has no handler for kind {job.kind!r}"
            self._report(attempt, Failed(message, "NO_HANDLER"), None)
        elif read(lambda: inspect.iscoroutinefunction(handler), False):
            coroutine = cast(Callable[[JobContext], Awaitable[object]], handler)
            self._call_on_loop(lambda: self._start_task(attempt, lambda: coroutine(job)))
        else:
            self._start_thread(attempt, handler)

    def cancel(self, local_id: int) -> None:
        attempt = self._attempts.get(local_id)
        if attempt is not None:
            # At once for functions, also while a coroutine blocks the event loop.
            attempt.job._set_cancelled()
            self._call_on_loop(attempt.job._cancel)

    def abandon(self, local_id: int) -> None:
        attempt = self._attempts.get(local_id)
        if attempt is not None:
            attempt.is_abandoned = True
            attempt.job._set_cancelled()
            self._call_on_loop(lambda: self._cancel_task(attempt))

    def checkpoint_result(self, local_id: int, seq: int, result: CheckpointResult) -> None:
        attempt = self._attempts.get(local_id)
        if attempt is not None:
            self._call_on_loop(lambda: attempt.job._checkpoint_result(seq, result))

    def output_result(self, local_id: int, offset: int, result: OutputResult) -> None:
        attempt = self._attempts.get(local_id)
        if attempt is not None:
            self._call_on_loop(lambda: attempt.job._output_result(offset, result))

    # Functions. Their threads need no event loop, so a coroutine that blocks it does not delay them.

    def _start_thread(self, attempt: _Attempt, handler: Handler) -> None:
        """Each function has a new daemon thread, so that one that ignores its cancel blocks neither other attempts
        nor the exit of the process."""

        def run() -> None:
            self._started(attempt)
            value: object = None
            try:
                value = self._context.copy().run(handler, attempt.job)
                is_awaitable = inspect.isawaitable(value)
            except BaseException as error:
                self._finish(attempt, None, error)
                return
            if not is_awaitable:
                self._finish(attempt, value, None)
            else:
                awaitable = cast(Awaitable[object], value)
                self._call_on_loop(lambda: self._start_task(attempt, lambda: awaitable))

        try:
            threading.Thread(target=run, name=f"sentinel {attempt.job.fencing_token}", daemon=True).start()
        except RuntimeError as error:
            # The process has too many threads.
            self._finish(attempt, None, error)

    # Coroutines, on the caller's event loop.

    def _start_task(self, attempt: _Attempt, call: Callable[[], Awaitable[object]]) -> None:
        if attempt.is_abandoned:
            self._attempts.pop(attempt.local_id, None)
            return
        name = f"sentinel {attempt.job.fencing_token}"
        coroutine = self._run_coroutine(attempt, call)
        attempt.task = self._loop.create_task(coroutine, name=name, context=self._context.copy())

    async def _run_coroutine(self, attempt: _Attempt, call: Callable[[], Awaitable[object]]) -> None:
        self._started(attempt)
        value: object = None
        error: BaseException | None = None
        try:
            value = await call()
        except BaseException as raised:
            error = raised
        self._finish(attempt, value, error)
        if has_class(error, KeyboardInterrupt) and error is not None and SHUTDOWN_SIGNALS.was_received(signal.SIGINT):
            # The second Ctrl+C, which ends the program wherever it arrives.
            raise error

    def _cancel_task(self, attempt: _Attempt) -> None:
        attempt.job._cancel()
        if attempt.task is not None:
            attempt.task.cancel()

    # The end of a handler.

    def _started(self, attempt: _Attempt) -> None:
        attempt.started_at_s, attempt.started = time.time(), time.monotonic()
        self.session.update(lambda state: state.handler_started(attempt.started, attempt.local_id))
        self.events.emit(JobStarted(attempt.job))

    def _finish(self, attempt: _Attempt, value: object, error: BaseException | None) -> None:
        """Reports how a handler ended. Only a coroutine that this worker itself has stopped is released."""
        is_stopped = attempt.is_abandoned or (self._run_task is not None and self._run_task.cancelling() > 0)
        if is_stopped and has_class(error, asyncio.CancelledError):
            self._report(attempt, Release(), error)
        else:
            self._report(attempt, outcome_of(value, error), error)

    def _report(self, attempt: _Attempt, outcome: HandlerOutcome, error: BaseException | None) -> None:
        self._attempts.pop(attempt.local_id, None)
        message = ""
        if isinstance(outcome, Failed):
            message = valid_text(outcome.message)
            self._log_failure(attempt.job, outcome)
        now = time.monotonic()
        self.session.update(lambda state: state.handler_finished(now, attempt.local_id, attempt.started_at_s, outcome))
        name = _OUTCOME_NAMES.get(type(outcome), "failed")
        self.events.emit(JobFinished(attempt.job, name, now - attempt.started, message, error if message else None))

    def _log_failure(self, job: JobContext, outcome: Failed) -> None:
        detail = outcome.detail or outcome.message
        # A filter or handler of the program may raise.
        read(
            lambda: _log.warning(
                "attempt failed: job=%s kind=%s attempt=%d code=%s\n%s",
                job.job_id,
                job.kind,
                job.attempt,
                outcome.code or "-",
                detail[:16_384],
            ),
            None,
        )

    async def close(self) -> None:
        """Stops the session, and cancels coroutines that still run."""
        self.session.stop()
        attempts = list(self._attempts.values())
        for attempt in attempts:
            attempt.is_abandoned = True
            attempt.job._set_cancelled()
            self._cancel_task(attempt)
        tasks = [attempt.task for attempt in attempts if attempt.task is not None]
        await asyncio.gather(*tasks, return_exceptions=True)
