"""The worker runtime: runs handlers for the jobs that a server assigns."""

import asyncio
import contextlib
import contextvars
import inspect
import os
import re
import signal
import socket
import threading
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import timedelta

from ._endpoint import TlsConfig, parse_endpoints
from ._proto.sentinel.workers.v1 import worker_service_pb2 as pb
from ._text import truncate
from ._worker.interfaces import CheckpointResult, OutputResult, SessionConfig
from ._worker.job_context import CheckpointError, JobContext, OutputError
from ._worker.outcome import (
    Cancelled,
    Failed,
    HandlerError,
    HandlerOutcome,
    Release,
    Snooze,
    outcome_of_error,
    outcome_of_result,
)
from ._worker.session import Session
from .errors import InvalidArgumentError, SentinelError

__all__ = [
    "Cancelled",
    "CheckpointError",
    "Handler",
    "HandlerError",
    "JobContext",
    "OutputError",
    "Release",
    "Snooze",
    "Worker",
]

_MAX_NAME_BYTES = 128
_NAME = re.compile(r"[A-Za-z0-9._-]{1,128}")

Handler = Callable[[JobContext], Awaitable[object]] | Callable[[JobContext], object]
"""Runs one attempt: a coroutine function on the caller's event loop, or a function on a thread.

The returned value is the result: bytes and text unchanged, `None` as empty, anything else as JSON, at most
1 MiB. `Snooze`, `Release` and `Cancelled` are other outcomes. A raised exception is a failure, which is
retryable unless it is a `HandlerError` with `retryable=False`."""


class Worker:
    """A worker. Its session runs on separate threads, its coroutine handlers on the caller's event loop."""

    def __init__(
        self,
        endpoint: str | Sequence[str],
        *,
        handlers: Mapping[str, Handler],
        queues: Iterable[str] = ("default",),
        descriptions: Mapping[str, str] | None = None,
        concurrency: int = 64,
        max_running_payload_bytes: int = 64 * 1024 * 1024,
        labels: Mapping[str, str] | None = None,
        instance: str | None = None,
        build_version: str = "",
        drain_timeout: timedelta = timedelta(seconds=30),
        credential: str | None = None,
        tls: TlsConfig | None = None,
    ) -> None:
        """Validates the settings; raises `InvalidArgumentError`.

        `endpoint`: the servers of one cluster, `https://host:port`, `http://host:port` or `host:port`. When one
        is not reachable, the next one is used.
        `handlers`: the handlers by kind. 1..1000.
        `queues`: the queues to take jobs from. 1..100.
        `descriptions`: descriptions of the kinds.
        `concurrency`: the limit of jobs that run at the same time. 1..100,000.
        `max_running_payload_bytes`: the limit of the total payload bytes of running jobs. A soft limit: the last
        job may exceed it. 0 means unlimited.
        `labels`: the labels of this worker. At most 16.
        `instance`: the name of this process. 1..128 bytes. Default `<host>-<pid>`.
        `build_version`: the version of the program. At most 128 bytes.
        `drain_timeout`: how long running jobs may continue after a shutdown was requested.
        `credential`: the API key, sent as `authorization: Bearer <credential>`. It needs the role WORKER.
        `tls`: the certificates of `https://` connections.
        """
        endpoints = [endpoint] if isinstance(endpoint, str) else list(endpoint)
        suffix = f"-{os.getpid()}"
        host = truncate(socket.gethostname() or "worker", _MAX_NAME_BYTES - len(suffix))
        self._config = SessionConfig(
            endpoints=parse_endpoints(endpoints, tls),
            credential=credential,
            tls=tls,
            instance=host + suffix if instance is None else instance,
            build_version=build_version,
            queues=list(dict.fromkeys(queues)),
            kinds={kind: (descriptions or {}).get(kind, "") for kind in handlers},
            labels=dict(labels or {}),
            slots=concurrency,
            max_payload_bytes=max_running_payload_bytes,
            drain_timeout_s=drain_timeout.total_seconds(),
        )
        _check_config(self._config)
        self._handlers = dict(handlers)

    async def run(self, *, shutdown_signals: Iterable[signal.Signals] = (signal.SIGTERM, signal.SIGINT)) -> None:
        """Runs jobs until a shutdown signal arrives or the task is cancelled, then drains: takes no new jobs,
        gives running ones `drain_timeout` to finish, and releases the rest. The worker reconnects without a
        limit. A second signal has its default effect. Outside the main thread and on Windows no signals are
        handled: cancel the task.

        Raises `ApiError` when a server rejects the first Hello, for example because a queue does not exist.
        """
        loop = asyncio.get_running_loop()
        run = _Run(self._config, self._handlers, loop)
        finished: asyncio.Future[None] = loop.create_future()
        handled_signals: list[signal.Signals] = []

        def drain() -> None:
            for handled in handled_signals:
                loop.remove_signal_handler(handled)
            run.session.drain()

        try:
            for shutdown_signal in shutdown_signals:
                # Only the main thread can handle signals, and not on Windows.
                with contextlib.suppress(RuntimeError, ValueError, NotImplementedError):
                    loop.add_signal_handler(shutdown_signal, drain)
                    handled_signals.append(shutdown_signal)
            name = "sentinel-session"
            threading.Thread(target=run.run_session, args=(finished,), name=name, daemon=True).start()
            try:
                await asyncio.shield(finished)
            except asyncio.CancelledError:
                run.session.drain()
                await finished
                raise
        finally:
            for handled in handled_signals:
                loop.remove_signal_handler(handled)
            await run.close()


class _Run:
    """One call of `Worker.run`: its session and its running handlers."""

    def __init__(self, config: SessionConfig, handlers: Mapping[str, Handler], loop: asyncio.AbstractEventLoop) -> None:
        self._config = config
        self._handlers = handlers
        self._loop = loop
        self._jobs: dict[int, JobContext] = {}
        self._tasks: dict[int, asyncio.Task[None]] = {}
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
        self._call_on_loop(lambda: self._start(local_id, assignment))

    def cancel(self, local_id: int) -> None:
        self._call_on_loop(lambda: self._jobs[local_id]._cancel() if local_id in self._jobs else None)

    def abandon(self, local_id: int) -> None:
        self._call_on_loop(lambda: self._abandon(local_id))

    def checkpoint_result(self, local_id: int, seq: int, result: CheckpointResult) -> None:
        self._call_on_loop(
            lambda: self._jobs[local_id]._checkpoint_result(seq, result) if local_id in self._jobs else None
        )

    def output_result(self, local_id: int, offset: int, result: OutputResult) -> None:
        self._call_on_loop(
            lambda: self._jobs[local_id]._output_result(offset, result) if local_id in self._jobs else None
        )

    # On the caller's event loop.

    def _start(self, local_id: int, assignment: pb.Assignment) -> None:
        job = JobContext(local_id, assignment, self._config.instance, self.session, self._loop)
        self._jobs[local_id] = job
        name = f"sentinel {job.fencing_token}"
        self._tasks[local_id] = self._loop.create_task(self._run_handler(local_id, job), name=name)

    def _abandon(self, local_id: int) -> None:
        """Cancels a coroutine. A function on a thread cannot be stopped; its result is ignored."""
        job, task = self._jobs.pop(local_id, None), self._tasks.get(local_id)
        if job is not None:
            job._cancel()
        if task is not None:
            task.cancel()

    async def _run_handler(self, local_id: int, job: JobContext) -> None:
        started_at_s = time.time()
        outcome: HandlerOutcome = Release()
        try:
            outcome = await self._run_to_outcome(job)
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            # When this task was not cancelled, something that the handler awaited was.
            if task is None or not task.cancelling():
                outcome = outcome_of_error(error)
        except SystemExit as error:
            # A handler must not end the worker.
            outcome = Failed(f"the handler called sys.exit({error.code!r})", "SYSTEM_EXIT")
        finally:
            self._jobs.pop(local_id, None)
            self._tasks.pop(local_id, None)
            now = time.monotonic()
            self.session.update(lambda state: state.handler_finished(now, local_id, started_at_s, outcome))

    async def _run_to_outcome(self, job: JobContext) -> HandlerOutcome:
        handler = self._handlers.get(job.kind)
        if handler is None:
            # A server assigns only declared kinds. If it does not, another worker may have the handler.
            return Failed(f"this worker has no handler for kind {job.kind!r}", "NO_HANDLER")
        try:
            if inspect.iscoroutinefunction(handler):
                return outcome_of_result(await handler(job))
            value = await self._run_on_thread(handler, job)
            return outcome_of_result(await value if inspect.isawaitable(value) else value)
        except Exception as error:
            return outcome_of_error(error)

    async def _run_on_thread(self, handler: Handler, job: JobContext) -> object:
        """Runs a function on a new daemon thread, so that a function that ignores its cancel blocks neither other
        attempts nor the exit of the process."""
        future: asyncio.Future[object] = self._loop.create_future()
        context = contextvars.copy_context()

        def complete(value: object, error: BaseException | None) -> None:
            if future.done():
                return
            if error is None:
                future.set_result(value)
            else:
                future.set_exception(error)

        def run() -> None:
            value: object = None
            error: BaseException | None = None
            try:
                value = context.run(handler, job)
            except StopIteration:
                # A future does not accept StopIteration.
                error = RuntimeError("the handler raised StopIteration")
            except BaseException as handler_error:
                error = handler_error
            self._call_on_loop(lambda: complete(value, error))

        threading.Thread(target=run, name=f"sentinel {job.fencing_token}", daemon=True).start()
        return await future

    async def close(self) -> None:
        self.session.stop()
        tasks = list(self._tasks.values())
        for job in list(self._jobs.values()):
            job._cancel()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _check_config(config: SessionConfig) -> None:
    _check_range("endpoint", len(config.endpoints), 1, 100, "servers")
    _check_range("instance", len(config.instance.encode()), 1, _MAX_NAME_BYTES, "bytes")
    _check_range("build_version", len(config.build_version.encode()), 0, _MAX_NAME_BYTES, "bytes")
    _check_range("queues", len(config.queues), 1, 100, "queues")
    _check_range("handlers", len(config.kinds), 1, 1_000, "handlers")
    _check_range("labels", len(config.labels), 0, 16, "labels")
    _check_range("concurrency", config.slots, 1, 100_000, "jobs")
    _check_range("max_running_payload_bytes", config.max_payload_bytes, 0, 2**62, "bytes")
    for name in [*config.queues, *config.kinds]:
        if _NAME.fullmatch(name) is None:
            allowed = f"allowed are 1..{_MAX_NAME_BYTES} characters of [A-Za-z0-9._-]"
            raise InvalidArgumentError(f"invalid queue or kind {name!r}; {allowed}")


def _check_range(field: str, value: int, min_value: int, max_value: int, unit: str) -> None:
    if not min_value <= value <= max_value:
        raise InvalidArgumentError(f"invalid {field}: {value} {unit}; allowed are {min_value}..{max_value}")
