"""The Python worker with the handlers of the conformance tests."""

import argparse
import asyncio
import itertools
import os
import sys
import time
from collections.abc import Awaitable
from datetime import timedelta
from typing import Any, cast

from hostile import ADVISE, RETURN, THROW
from sentinel_client import (
    Cancelled,
    CheckpointError,
    Handler,
    HandlerError,
    JobContext,
    OutputError,
    Release,
    SentinelError,
    Snooze,
    Worker,
)
from tls import tls_options


async def sleep_until_cancelled(job: JobContext, ms: int) -> bool:
    """Sleeps for `ms`. Returns `False` when the handler should stop earlier."""
    try:
        await asyncio.wait_for(job.cancelled(), ms / 1000)
    except TimeoutError:
        return True
    return False


async def echo(job: JobContext) -> bytes:
    return job.payload


async def fail(job: JobContext) -> None:
    payload = job.payload_json()
    delay = payload.get("next_delay_ms")
    raise HandlerError(
        payload["message"],
        code=payload["code"],
        retryable=payload["retryable"],
        next_delay=None if delay is None else timedelta(milliseconds=delay),
    )


async def throw(_: JobContext) -> None:
    raise TypeError("plain")


async def large_result(_: JobContext) -> bytes:
    return bytes(1024 * 1024 + 1)


async def wait_for_cancel(job: JobContext) -> Cancelled:
    await job.cancelled()
    return Cancelled()


async def sleep(job: JobContext) -> str:
    if not await sleep_until_cancelled(job, job.payload_json()["ms"]):
        raise RuntimeError("stopped")
    return "slept"


async def ignore_cancel(job: JobContext) -> str:
    await asyncio.sleep(job.payload_json()["ms"] / 1000)
    return "finished"


async def busy_loop(job: JobContext) -> str:
    until = time.monotonic() + job.payload_json()["ms"] / 1000
    while time.monotonic() < until:
        pass
    return "finished"


def progress(job: JobContext) -> str:
    """Not a coroutine function, so it runs on a thread."""
    n = job.payload_json()["n"]
    for done in range(1, n + 1):
        job.progress(done, n, str(done))
    return "reported"


async def checkpoint(job: JobContext) -> str:
    last = job.last_checkpoint.decode()
    try:
        await job.checkpoint(job.payload_json()["data"])
    except CheckpointError as error:
        return f"{last}/{error.reason}"
    return f"{last}/stored"


async def output(job: JobContext) -> str:
    try:
        for part in job.payload_json()["parts"]:
            await job.write_output(part)
    except OutputError as error:
        return error.reason
    return "stored"


def log(job: JobContext) -> str:
    for line in job.payload_json()["lines"]:
        job.log("warn", line)
    return "logged"


async def snooze(job: JobContext) -> Snooze:
    return Snooze(timedelta(milliseconds=job.payload_json()["ms"]))


async def release(_: JobContext) -> Release:
    return Release()


def throw_hostile(job: JobContext) -> object:
    return THROW[job.payload_json()["index"] % len(THROW)]()


async def throw_hostile_async(job: JobContext) -> object:
    return throw_hostile(job)


def alternate(on_thread: Handler, on_loop: Handler) -> Handler:
    """Runs every second job on the event loop, the others on a thread."""
    calls = itertools.count()

    def call(job: JobContext) -> object:
        return on_loop(job) if next(calls) % 2 else on_thread(job)

    return call


def return_hostile(job: JobContext) -> object:
    create, _ = RETURN[job.payload_json()["index"] % len(RETURN)]
    return create()


async def advise_hostile(job: JobContext) -> str:
    number, text = ADVISE[job.payload_json()["index"] % len(ADVISE)]
    job.progress(cast(int, number), cast(int, number), cast(str, text))
    job.log(cast(Any, text), cast(str, text))
    job.log("info", cast(str, text))
    return "advised"


def innermost_frame() -> None:
    raise ValueError("deep")


def throw_deep(_: JobContext) -> None:
    innermost_frame()


async def effect(job: JobContext) -> str | Cancelled:
    """As in the demo worker: appends to a file, so that tests can count the side effects."""
    payload = job.payload_json()

    def append_sync(event: str) -> None:
        file = os.open(payload["file"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            os.write(file, f"{job.fencing_token}\t{job.instance}\t{event}\n".encode())
            os.fsync(file)
        finally:
            os.close(file)

    def append(event: str) -> Awaitable[None]:
        return asyncio.to_thread(append_sync, event)

    await append("start")
    if not await sleep_until_cancelled(job, payload.get("ms", 0)):
        return Cancelled()
    await append("end")
    return job.fencing_token


async def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--endpoint", action="append", required=True)
    parser.add_argument("--concurrency", type=int, default=8)
    parser.add_argument("--drain-timeout-ms", type=int, default=30_000)
    parser.add_argument("--instance", default="conformance")
    parser.add_argument("--credential")
    args = parser.parse_args()
    worker = Worker(
        args.endpoint,
        handlers={
            "echo": echo,
            "fail": fail,
            "throw": throw,
            "large_result": large_result,
            "wait_for_cancel": wait_for_cancel,
            "sleep": sleep,
            "ignore_cancel": ignore_cancel,
            "busy_loop": busy_loop,
            "progress": progress,
            "checkpoint": checkpoint,
            "output": output,
            "log": log,
            "snooze": snooze,
            "release": release,
            "throw_hostile": alternate(throw_hostile, throw_hostile_async),
            "return_hostile": return_hostile,
            "advise_hostile": advise_hostile,
            "throw_deep": throw_deep,
            "demo.effect": effect,
        },
        concurrency=args.concurrency,
        drain_timeout=timedelta(milliseconds=args.drain_timeout_ms),
        instance=args.instance,
        build_version="1.2.3",
        labels={"zone": "a"},
        credential=args.credential,
        tls=tls_options(),
    )
    await worker.run()


try:
    asyncio.run(main())
except SentinelError as error:
    sys.exit(f"error: {error}")
