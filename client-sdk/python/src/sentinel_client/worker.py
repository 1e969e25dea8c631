"""The worker runtime: runs handlers for the jobs that a server assigns."""

import asyncio
import os
import re
import signal
import socket
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta

from ._endpoint import TlsConfig, parse_endpoints
from ._text import truncate
from ._worker.events import DrainStarted, JobFinished, JobStarted, SessionLost, SessionOpened, WorkerEvent
from ._worker.interfaces import SessionConfig
from ._worker.job_context import CheckpointError, JobContext, OutputError
from ._worker.outcome import Cancelled, HandlerError, Release, Snooze
from ._worker.runner import Handler, Runner
from ._worker.signals import SHUTDOWN_SIGNALS
from .errors import InvalidArgumentError

__all__ = [
    "Cancelled",
    "CheckpointError",
    "DrainStarted",
    "Handler",
    "HandlerError",
    "JobContext",
    "JobFinished",
    "JobStarted",
    "OutputError",
    "Release",
    "SessionLost",
    "SessionOpened",
    "Snooze",
    "Worker",
    "WorkerEvent",
]

_MAX_NAME_BYTES = 128
_NAME = re.compile(r"[A-Za-z0-9._-]{1,128}")


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
        on_event: Callable[[WorkerEvent], None] | None = None,
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
        `on_event`: called on the event loop of `run` with each event, for metrics and error trackers. It must not
        block. When it raises, the error is logged.
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
            on_event=on_event,
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
        run = Runner(self._config, self._handlers, loop)
        finished: asyncio.Future[None] = loop.create_future()

        def drain() -> None:
            # Called by a signal handler, which may have interrupted a thread that holds the session's lock.
            loop.call_soon_threadsafe(run.session.drain)

        try:
            SHUTDOWN_SIGNALS.subscribe(shutdown_signals, drain)
            name = "sentinel-session"
            threading.Thread(target=run.run_session, args=(finished,), name=name, daemon=True).start()
            try:
                await asyncio.shield(finished)
            except asyncio.CancelledError:
                run.session.drain()
                await finished
                raise
        finally:
            SHUTDOWN_SIGNALS.unsubscribe(drain)
            await run.close()


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
