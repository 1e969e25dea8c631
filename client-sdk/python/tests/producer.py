"""What an application does, for the test of the languages together, one JSON value a line.

`watch CURSOR` notes every event of all jobs. `produce SEED FROM EFFECTS STOP` enqueues, cancels,
follows and retries until the file STOP is there. Its calls have request ids that a restart finds
again, so it may be killed at any time and begin anew a little before where it was."""

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

Answer = TypeVar("Answer")


def tell(value: object) -> None:
    print(json.dumps(value), flush=True)


def look(job: Job) -> list[object]:
    return [job.id, job.version, job.state, job.reason, job.run, job.attempt, job.result.decode()]


async def insist(call: Callable[[], Awaitable[Answer]]) -> Answer:
    """The server is killed meanwhile: what got no answer is asked again, under the same request id."""
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
                tell({"cursor": events.cursor, "snapshot": [look(job) for job in event.snapshot.jobs]})
            case "change":
                tell({"cursor": events.cursor, "change": look(event.change.job)})
            case "gap":
                tell({"cursor": events.cursor, "gap": True})


async def cancel(client: Client, id: str, effects: Path) -> None:
    reply = await insist(lambda: client.cancel(id))
    if reply.outcome == CANCEL_OUTCOME_ALREADY_TERMINAL:
        return
    lines = effects.read_text().count("\n") if effects.exists() else 0
    tell({"cancelled": [id, reply.job.run, reply.job.version, lines]})


async def step(client: Client, seed: str, n: int, effects: Path) -> None:
    # The same numbers for the same step after every restart.
    dice = random.Random(f"{seed}/{n}")

    def job() -> NewJob:
        ms = 2_000 if dice.random() < 0.1 else dice.randrange(400)
        retry = RetryPolicy(max_attempts=50, base=timedelta(milliseconds=20))
        return NewJob(kind="demo.effect", payload={"file": str(effects), "ms": ms}, retry=retry)

    request_id = f"python-{seed}-{n}"
    if dice.random() < 0.25:
        jobs = [job(), job(), job()]
        items = await insist(lambda: client.enqueue_batch(jobs, request_id=request_id))
        ids = [item.id for item in items if isinstance(item, EnqueuedJob)]
    else:
        one = job()
        ids = [(await insist(lambda: client.enqueue(one, request_id=request_id))).job.id]
    tell({"step": n, "request": request_id, "ids": ids})
    if dice.random() < 0.3:
        await cancel(client, ids[0], effects)
    if dice.random() < 0.4:
        end = await client.wait_for_result(ids[0])
        tell({"ended": look(end)})
        if end.state == JOB_STATE_CANCELLED and dice.random() < 0.5:
            again = await insist(lambda: client.retry(ids[0], request_id=f"{request_id}-retry"))
            tell({"retried": [ids[0], again.run]})


async def main(endpoint: str, mode: str, *rest: str) -> None:
    # What a killed process was writing ends here.
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
