"""The runtime with the agreed handlers, for the conformance tests."""

import argparse
import asyncio
import os
import sys
import time
from collections.abc import Awaitable
from datetime import timedelta

from sentinel_client import (
    Cancelled,
    CheckpointError,
    HandlerError,
    Job,
    OutputError,
    Release,
    SentinelError,
    Snooze,
    Worker,
)

from tls import tls_options


async def pause(job: Job, ms: int) -> bool:
    """Whether it came to its end."""
    try:
        await asyncio.wait_for(job.cancelled(), ms / 1000)
    except TimeoutError:
        return True
    return False


async def echo(job: Job) -> bytes:
    return job.payload


async def fail(job: Job) -> None:
    given = job.json()
    delay = given.get("next_delay_ms")
    raise HandlerError(
        given["message"],
        code=given["code"],
        retryable=given["retryable"],
        next_delay=None if delay is None else timedelta(milliseconds=delay),
    )


async def throw(_: Job) -> None:
    raise TypeError("plain")


async def big(_: Job) -> bytes:
    return bytes(1024 * 1024 + 1)


async def wait(job: Job) -> Cancelled:
    await job.cancelled()
    return Cancelled()


async def sleep(job: Job) -> str:
    if not await pause(job, job.json()["ms"]):
        raise RuntimeError("stopped")
    return "slept"


async def deaf(job: Job) -> str:
    await asyncio.sleep(job.json()["ms"] / 1000)
    return "deaf"


async def spin(job: Job) -> str:
    until = time.monotonic() + job.json()["ms"] / 1000
    while time.monotonic() < until:
        pass
    return "spun"


def progress(job: Job) -> str:
    """No coroutine: runs on a thread."""
    n = job.json()["n"]
    for done in range(1, n + 1):
        job.progress(done, n, str(done))
    return "told"


async def checkpoint(job: Job) -> str:
    before = job.last_checkpoint.decode()
    try:
        await job.checkpoint(job.json()["data"])
    except CheckpointError as error:
        return f"{before}/{error.why}"
    return f"{before}/stored"


async def output(job: Job) -> str:
    try:
        for part in job.json()["parts"]:
            await job.output(part)
    except OutputError as error:
        return error.why
    return "stored"


def log(job: Job) -> str:
    for line in job.json()["lines"]:
        job.log("warn", line)
    return "logged"


async def snooze(job: Job) -> Snooze:
    return Snooze(timedelta(milliseconds=job.json()["ms"]))


async def release(_: Job) -> Release:
    return Release()


async def effect(job: Job) -> str | Cancelled:
    """As that of the demo worker: a side effect that can be counted afterwards."""
    given = job.json()

    def mark(what: str) -> None:
        file = os.open(given["file"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            os.write(file, f"{job.fence}\t{job.instance}\t{what}\n".encode())
            os.fsync(file)
        finally:
            os.close(file)

    def marked(what: str) -> Awaitable[None]:
        return asyncio.to_thread(mark, what)

    await marked("start")
    if not await pause(job, given.get("ms", 0)):
        return Cancelled()
    await marked("end")
    return job.fence


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
            "big": big,
            "wait": wait,
            "sleep": sleep,
            "deaf": deaf,
            "spin": spin,
            "progress": progress,
            "checkpoint": checkpoint,
            "output": output,
            "log": log,
            "snooze": snooze,
            "release": release,
            "demo.effect": effect,
        },
        concurrency=args.concurrency,
        drain_timeout=timedelta(milliseconds=args.drain_timeout_ms),
        instance=args.instance,
        build="1.2.3",
        labels={"zone": "a"},
        credential=args.credential,
        tls=tls_options(),
    )
    await worker.run()


try:
    asyncio.run(main())
except SentinelError as error:
    sys.exit(f"error: {error}")
