"""An application for the tests with several languages. It prints one JSON value per line.

`watch CURSOR` prints every event of all jobs. `produce SEED FROM EFFECTS STOP` enqueues, cancels, awaits and
retries jobs until the file STOP exists. The request ids of its calls depend on the seed and the step only, so
that it can be killed at any time and restarted a few steps earlier.
"""

import asyncio
import json
import os
import random
import sys
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

import grpc

from sentinel_client import ApiError, Client, NewJob, RetryPolicy, TransportError
from sentinel_client.proto import (
    CANCEL_OUTCOME_ALREADY_TERMINAL,
    JOB_STATE_CANCELLED,
    JOB_VIEW_FULL,
    EnqueuedJob,
    Job,
    JobFilter,
)

Result = TypeVar("Result")


def print_json(value: object) -> None:
    print(json.dumps(value), flush=True)


def summary(job: Job) -> list[object]:
    return [job.id, job.version, job.state, job.reason, job.run, job.attempt, job.result.decode()]


async def retry_forever(call: Callable[[], Awaitable[Result]]) -> Result:
    """Repeats a call while the server is unavailable: the test kills it."""
    while True:
        try:
            return await call()
        except TransportError:
            pass
        except ApiError as error:
            if error.code is not grpc.StatusCode.UNAVAILABLE:
                raise


async def watch(client: Client, cursor: str) -> None:
    events = client.watch(filter=JobFilter(), view=JOB_VIEW_FULL, cursor=cursor)
    async for event in events:
        match event.WhichOneof("event"):
            case "snapshot":
                print_json({"cursor": events.cursor, "snapshot": [summary(job) for job in event.snapshot.jobs]})
            case "change":
                print_json({"cursor": events.cursor, "change": summary(event.change.job)})
            case "gap":
                print_json({"cursor": events.cursor, "gap": True})


async def cancel(client: Client, id: str, effects: Path) -> None:
    result = await retry_forever(lambda: client.cancel(id))
    if result.outcome == CANCEL_OUTCOME_ALREADY_TERMINAL:
        return
    lines = effects.read_text().count("\n") if effects.exists() else 0
    print_json({"cancelled": [id, result.job.run, result.job.version, lines]})


async def step(client: Client, seed: str, n: int, effects: Path) -> None:
    # A restarted producer gets the same numbers for the same step.
    rng = random.Random(f"{seed}/{n}")

    def job() -> NewJob:
        ms = 2_000 if rng.random() < 0.1 else rng.randrange(400)
        retry = RetryPolicy(max_attempts=50, base=timedelta(milliseconds=20))
        return NewJob(kind="demo.effect", payload={"file": str(effects), "ms": ms}, retry=retry)

    request_id = f"python-{seed}-{n}"
    if rng.random() < 0.25:
        jobs = [job(), job(), job()]
        items = await retry_forever(lambda: client.enqueue_batch(jobs, request_id=request_id))
        ids = [item.id for item in items if isinstance(item, EnqueuedJob)]
    else:
        new_job = job()
        ids = [(await retry_forever(lambda: client.enqueue(new_job, request_id=request_id))).job.id]
    print_json({"step": n, "request": request_id, "ids": ids})
    if rng.random() < 0.3:
        await cancel(client, ids[0], effects)
    if rng.random() < 0.4:
        finished = await client.wait_for_result(ids[0])
        print_json({"finished": summary(finished)})
        if finished.state == JOB_STATE_CANCELLED and rng.random() < 0.5:
            retried = await retry_forever(lambda: client.retry(ids[0], request_id=f"{request_id}-retry"))
            print_json({"retried": [ids[0], retried.run]})


async def main(endpoint: str, mode: str, *rest: str) -> None:
    # Completes the line that a killed process may have left unfinished.
    print(flush=True)
    async with Client(endpoint, credential=os.environ.get("TEST_CREDENTIAL"), actor="python") as client:
        if mode == "watch":
            await watch(client, *rest)
            return
        seed, first, effects, stop = rest
        n = int(first)
        while not Path(stop).exists():
            await step(client, seed, n, Path(effects))
            n += 1


asyncio.run(main(*sys.argv[1:]))
