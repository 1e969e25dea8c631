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
from ._fork import check_not_forked
from ._json import JsonError, encode_json
from ._proto.sentinel.workers.v1 import worker_service_pb2
from ._request import build
from ._text import truncate
from ._worker.events import DrainStarted, JobFinished, JobStarted, SessionLost, SessionOpened, WorkerEvent
from ._worker.interfaces import SessionConfig
from ._worker.job_context import CheckpointError, JobContext, OutputError
from ._worker.outcome import Cancelled, HandlerError, Release, Snooze
from ._worker.runner import Handler, Runner
from ._worker.signals import SHUTDOWN_SIGNALS
from .errors import InvalidArgumentError
from .typed import TypedHandler

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
_MAX_SCHEMA_BYTES = 16 * 1024
_NAME = re.compile(r"[A-Za-z0-9._-]{1,128}")


class Worker:
    """A worker. Its session runs on separate threads, its coroutine handlers on the caller's event loop."""

    def __init__(
        self,
        endpoint: str | Sequence[str],
        *,
        handlers: Mapping[str, Handler] | Iterable[TypedHandler],
        queues: Iterable[str] | None = None,
        descriptions: Mapping[str, str] | None = None,
        input_schemas: Mapping[str, Mapping[str, object]] | None = None,
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
        `handlers`: the handlers by kind, or those of `JobType.handler`. 1..1000.
        `queues`: the queues to take jobs from. 1..100. Default: the queues of typed handlers, or `default`. Queues
        of typed handlers are always included.
        `descriptions`: descriptions of the kinds, at most 1024 bytes each.
        `input_schemas`: JSON Schemas of the payloads by kind, at most 16 KiB each, which the panel and the
        command line show. Typed handlers declare theirs.
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
        if isinstance(queues, str):
            raise InvalidArgumentError(f"invalid queues: {queues!r}; a list is expected")
        functions, typed = _split_handlers(handlers)
        typed_queues = [handler.queue for handler in typed]
        all_queues = [*(queues if queues is not None else () if typed else ("default",)), *typed_queues]
        texts = {handler.kind: handler.description for handler in typed} | dict(descriptions or {})
        schemas: dict[str, Mapping[str, object]] = {
            handler.kind: handler.input_schema for handler in typed if handler.input_schema is not None
        }
        schemas |= input_schemas or {}
        suffix = f"-{os.getpid()}"
        host = truncate(socket.gethostname() or "worker", _MAX_NAME_BYTES - len(suffix))
        self._config = SessionConfig(
            endpoints=parse_endpoints(endpoints, tls, credential),
            credential=credential,
            tls=tls,
            instance=host + suffix if instance is None else instance,
            build_version=build_version,
            queues=list(dict.fromkeys(all_queues)),
            kinds={kind: texts.get(kind, "") for kind in functions},
            labels=dict(labels or {}),
            slots=concurrency,
            max_payload_bytes=max_running_payload_bytes,
            drain_timeout_s=drain_timeout.total_seconds(),
            on_event=on_event,
            input_schemas={kind: _schema_text(kind, schema) for kind, schema in schemas.items()},
        )
        _check_config(self._config)
        self._handlers = functions

    async def run(self, *, shutdown_signals: Iterable[signal.Signals] = (signal.SIGTERM, signal.SIGINT)) -> None:
        """Runs jobs until a shutdown signal arrives or the task is cancelled, then drains: takes no new jobs,
        gives running ones `drain_timeout` to finish, and releases the rest. The worker reconnects without a
        limit. A second signal has its default effect. Outside the main thread and on Windows no signals are
        handled: cancel the task.

        Raises `ApiError` when a server rejects the first Hello, for example because a queue does not exist,
        and `TransportError` in a forked child of a process that has used gRPC.
        """
        check_not_forked()
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


def _split_handlers(
    handlers: Mapping[str, Handler] | Iterable[TypedHandler],
) -> tuple[dict[str, Handler], list[TypedHandler]]:
    if isinstance(handlers, Mapping):
        return dict(handlers), []
    typed = list(handlers)
    functions: dict[str, Handler] = {handler.kind: handler.run for handler in typed}
    if len(functions) != len(typed):
        raise InvalidArgumentError("invalid handlers: two of them have the same kind")
    return functions, typed


def _schema_text(kind: str, schema: Mapping[str, object]) -> str:
    try:
        return encode_json(schema, f"input_schemas.{kind}").decode()
    except JsonError as error:
        raise InvalidArgumentError(f"invalid {error}") from error


def _check_config(config: SessionConfig) -> None:
    # Hello is created later, on the thread of the session.
    build(
        worker_service_pb2.Hello,
        "worker",
        instance=config.instance,
        build=config.build_version,
        queues=config.queues,
        labels=config.labels,
        kinds=[build(worker_service_pb2.Kind, "handlers", name=k, description=v) for k, v in config.kinds.items()],
    )
    _check_range("endpoint", len(config.endpoints), 1, 100, "servers")
    _check_range("instance", len(config.instance.encode()), 1, _MAX_NAME_BYTES, "bytes")
    _check_range("build_version", len(config.build_version.encode()), 0, _MAX_NAME_BYTES, "bytes")
    _check_range("queues", len(config.queues), 1, 100, "queues")
    _check_range("handlers", len(config.kinds), 1, 1_000, "handlers")
    _check_range("labels", len(config.labels), 0, 16, "labels")
    for kind, schema in config.input_schemas.items():
        _check_range(f"input_schemas of {kind}", len(schema), 0, _MAX_SCHEMA_BYTES, "bytes")
    _check_range("concurrency", config.slots, 1, 100_000, "jobs")
    _check_range("max_running_payload_bytes", config.max_payload_bytes, 0, 2**62, "bytes")
    for name in [*config.queues, *config.kinds]:
        if _NAME.fullmatch(name) is None:
            allowed = f"allowed are 1..{_MAX_NAME_BYTES} characters of [A-Za-z0-9._-]"
            raise InvalidArgumentError(f"invalid queue or kind {name!r}; {allowed}")


def _check_range(field: str, value: int, min_value: int, max_value: int, unit: str) -> None:
    if not min_value <= value <= max_value:
        raise InvalidArgumentError(f"invalid {field}: {value} {unit}; allowed are {min_value}..{max_value}")
