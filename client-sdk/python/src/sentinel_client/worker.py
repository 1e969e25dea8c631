"""The worker runtime: handlers by kind, run for the jobs that a server assigns."""

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

from ._proto.sentinel.workers.v1 import worker_service_pb2 as pb
from ._wire import Tls, parse_endpoints, split_text
from ._worker.context import CheckpointError, Job, OutputError
from ._worker.outcome import Cancelled, Ended, Failed, HandlerError, Release, Snooze, raised, returned
from ._worker.session import Session
from ._worker.state import CheckpointAnswer, OutputAnswer, Setup
from .errors import InvalidArgumentError, SentinelError

__all__ = [
    "Cancelled",
    "CheckpointError",
    "Handler",
    "HandlerError",
    "Job",
    "OutputError",
    "Release",
    "Snooze",
    "Worker",
]

_MAX_NAME_BYTES = 128
_NAME = re.compile(r"[A-Za-z0-9._-]{1,128}")

Handler = Callable[[Job], Awaitable[object]] | Callable[[Job], object]
"""Runs one attempt, as a coroutine on the caller's loop or as a function on a thread. What it
returns is the result: bytes and text as they are, nothing as nothing, all else as JSON, at most
1 MiB; or `Snooze`, `Release`, `Cancelled`. What it raises is a failure, retryable unless it is a
`HandlerError` that says otherwise."""


class Worker:
    """A fleet member. The session runs on threads of its own, coroutines on the caller's loop."""

    def __init__(
        self,
        endpoint: str | Sequence[str],
        *,
        handlers: Mapping[str, Handler],
        queues: Iterable[str] = ("default",),
        descriptions: Mapping[str, str] | None = None,
        concurrency: int = 64,
        payload_budget_bytes: int = 64 * 1024 * 1024,
        labels: Mapping[str, str] | None = None,
        instance: str | None = None,
        build: str = "",
        drain_timeout: timedelta = timedelta(seconds=30),
        credential: str | None = None,
        tls: Tls | None = None,
    ) -> None:
        """`endpoint` is `https://host:port`, `http://host:port` or `host:port`; several are servers of one installation,
        tried in turn. `handlers` by kind, 1..1000, `descriptions` of them for people. `queues`
        1..100. `concurrency` 1..100,000 jobs at the same time. `payload_budget_bytes` bounds the
        payloads of the running jobs, softly: one job at most goes beyond; 0: no bound. `labels`, at
        most 16, are for jobs that require some. `instance` names the process for people, by default
        `<host>-<pid>`. `drain_timeout` is how long running jobs may go on after the shutdown was
        asked for. `credential` is sent as `authorization: Bearer <credential>`; `tls` is for
        `https://`.

        Raises `InvalidArgumentError`.
        """
        endpoints = [endpoint] if isinstance(endpoint, str) else list(endpoint)
        suffix = f"-{os.getpid()}"
        host = split_text(socket.gethostname() or "worker", _MAX_NAME_BYTES - len(suffix))[0]
        self._setup = Setup(
            endpoints=parse_endpoints(endpoints, tls),
            credential=credential,
            tls=tls,
            instance=host + suffix if instance is None else instance,
            build=build,
            queues=list(dict.fromkeys(queues)),
            kinds={kind: (descriptions or {}).get(kind, "") for kind in handlers},
            labels=dict(labels or {}),
            slots=concurrency,
            payload_bytes=payload_budget_bytes,
            drain_timeout_s=drain_timeout.total_seconds(),
        )
        _check(self._setup)
        self._handlers = dict(handlers)

    async def run(self, *, drain_on: Iterable[signal.Signals] = (signal.SIGTERM, signal.SIGINT)) -> None:
        """Runs jobs until one of the signals comes, or the task is cancelled, and the drain is over:
        no new jobs are taken, running ones get `drain_timeout`, the rest is handed back. A server
        that can not be reached is dialled for ever. A second signal ends the process as usual. On
        a loop outside the main thread, and on Windows, signals are not heard: cancel the task.

        Raises `ApiError` when a server refuses the first Hello, such as an unknown queue.
        """
        loop = asyncio.get_running_loop()
        fleet = _Running(self._setup, self._handlers, loop)
        ended: asyncio.Future[None] = loop.create_future()
        signals: list[signal.Signals] = []

        def drain() -> None:
            for one in signals:
                loop.remove_signal_handler(one)
            fleet.session.drain()

        try:
            for one in drain_on:
                # Only the main thread of a process, and not on Windows: there the task is cancelled.
                with contextlib.suppress(RuntimeError, ValueError, NotImplementedError):
                    loop.add_signal_handler(one, drain)
                    signals.append(one)
            name = "sentinel-session"
            threading.Thread(target=fleet.session_thread, args=(ended,), name=name, daemon=True).start()
            try:
                await asyncio.shield(ended)
            except asyncio.CancelledError:
                fleet.session.drain()
                await ended
                raise
        finally:
            for one in signals:
                loop.remove_signal_handler(one)
            await fleet.close()


class _Running:
    """The handlers that run, told by the session what to do."""

    def __init__(self, setup: Setup, handlers: Mapping[str, Handler], loop: asyncio.AbstractEventLoop) -> None:
        self._setup = setup
        self._handlers = handlers
        self._loop = loop
        self._jobs: dict[int, Job] = {}
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self.session = Session(setup, self)

    def session_thread(self, ended: "asyncio.Future[None]") -> None:
        error: BaseException | None = None
        try:
            self.session.run()
        except SentinelError as refused:
            error = refused
        except BaseException as broken:
            error = SentinelError(f"the session's thread broke: {broken!r}")

        def tell() -> None:
            if ended.done():
                return
            if error is None:
                ended.set_result(None)
            else:
                ended.set_exception(error)

        self._post(tell)

    def _post(self, what: Callable[[], None]) -> None:
        # The loop may be gone when the process leaves.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(what)

    # Called by the session, on its threads.

    def start(self, no: int, assignment: pb.Assignment) -> None:
        self._post(lambda: self._start(no, assignment))

    def cancel(self, no: int) -> None:
        self._post(lambda: self._jobs[no]._cancel() if no in self._jobs else None)

    def abandon(self, no: int) -> None:
        self._post(lambda: self._abandon(no))

    def checkpointed(self, no: int, seq: int, answer: CheckpointAnswer) -> None:
        self._post(lambda: self._jobs[no]._checkpointed(seq, answer) if no in self._jobs else None)

    def handed(self, no: int, offset: int, answer: OutputAnswer) -> None:
        self._post(lambda: self._jobs[no]._handed(offset, answer) if no in self._jobs else None)

    # On the caller's loop.

    def _start(self, no: int, assignment: pb.Assignment) -> None:
        job = Job(no, assignment, self._setup.instance, self.session, self._loop)
        self._jobs[no] = job
        self._tasks[no] = self._loop.create_task(self._handle(no, job), name=f"sentinel {job.fence}")

    def _abandon(self, no: int) -> None:
        """A coroutine is cancelled; a function on a thread can not be, and runs on."""
        job, task = self._jobs.pop(no, None), self._tasks.get(no)
        if job is not None:
            job._cancel()
        if task is not None:
            task.cancel()

    async def _handle(self, no: int, job: Job) -> None:
        started_at_s = time.time()
        ended: Ended = Release()
        try:
            ended = await self._settle(job)
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            # Nobody stopped this one: what the handler waited for was cancelled.
            if task is None or not task.cancelling():
                ended = raised(error)
        except SystemExit as error:
            # A job does not end its worker, nor the next one.
            ended = Failed(f"the handler called sys.exit({error.code!r})", "SYSTEM_EXIT")
        finally:
            self._jobs.pop(no, None)
            self._tasks.pop(no, None)
            now = time.monotonic()
            self.session.tell(lambda state: state.finished(now, no, started_at_s, ended))

    async def _settle(self, job: Job) -> Ended:
        handler = self._handlers.get(job.kind)
        if handler is None:
            # A server assigns only declared kinds; if one does not, another worker may know better.
            return Failed(f"this worker has no handler for kind {job.kind!r}", "NO_HANDLER")
        try:
            if inspect.iscoroutinefunction(handler):
                return returned(await handler(job))
            value = await self._on_a_thread(handler, job)
            return returned(await value if inspect.isawaitable(value) else value)
        except Exception as error:
            return raised(error)

    async def _on_a_thread(self, handler: Handler, job: Job) -> object:
        """A thread of its own, which neither the next attempt nor the exit of the process waits for: a
        function that ignores its cancel can not be stopped."""
        done: asyncio.Future[object] = self._loop.create_future()
        context = contextvars.copy_context()

        def tell(value: object, error: BaseException | None) -> None:
            if done.done():
                return
            if error is None:
                done.set_result(value)
            else:
                done.set_exception(error)

        def run() -> None:
            value: object = None
            error: BaseException | None = None
            try:
                value = context.run(handler, job)
            except StopIteration:
                # No future takes this one.
                error = RuntimeError("the handler raised StopIteration")
            except BaseException as raised_by_handler:
                error = raised_by_handler
            self._post(lambda: tell(value, error))

        threading.Thread(target=run, name=f"sentinel {job.fence}", daemon=True).start()
        return await done

    async def close(self) -> None:
        self.session.stop()
        tasks = list(self._tasks.values())
        for job in list(self._jobs.values()):
            job._cancel()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _check(setup: Setup) -> None:
    _in_range("endpoint", len(setup.endpoints), 1, 100, "servers")
    _in_range("instance", len(setup.instance.encode()), 1, _MAX_NAME_BYTES, "bytes")
    _in_range("build", len(setup.build.encode()), 0, _MAX_NAME_BYTES, "bytes")
    _in_range("queues", len(setup.queues), 1, 100, "queues")
    _in_range("handlers", len(setup.kinds), 1, 1_000, "handlers")
    _in_range("labels", len(setup.labels), 0, 16, "labels")
    _in_range("concurrency", setup.slots, 1, 100_000, "jobs")
    _in_range("payload_budget_bytes", setup.payload_bytes, 0, 2**62, "bytes")
    for name in [*setup.queues, *setup.kinds]:
        if _NAME.fullmatch(name) is None:
            allowed = f"allowed are 1..{_MAX_NAME_BYTES} characters of [A-Za-z0-9._-]"
            raise InvalidArgumentError(f"invalid queue or kind {name!r}; {allowed}")


def _in_range(field: str, value: int, least: int, most: int, unit: str) -> None:
    if not least <= value <= most:
        raise InvalidArgumentError(f"invalid {field}: {value} {unit}; allowed are {least}..{most}")
