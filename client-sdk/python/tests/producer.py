"""What an application does, for the test of the languages together: `watch` notes every event of all
jobs; `produce COUNT FILE` enqueues, cancels some, waits for the ends. One JSON value a line."""

import asyncio
import json
import sys
import uuid
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import TypeVar

from sentinel_client import ApiError, Client, NewJob, RetryPolicy, TransportError
from sentinel_client.proto import JOB_STATE_CANCELLED, JOB_VIEW_FULL, EnqueuedJob, Job, JobFilter

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
            if error.reason != "SHUTTING_DOWN":
                raise


async def watch(client: Client) -> None:
    async for event in client.watch(filter=JobFilter(), view=JOB_VIEW_FULL):
        match event.WhichOneof("event"):
            case "snapshot":
                tell({"snapshot": [look(job) for job in event.snapshot.jobs]})
            case "change":
                tell({"change": look(event.change.job)})
            case "gap":
                tell({"gap": True})


async def produce(client: Client, count: int, file: str) -> None:
    def job(n: int) -> NewJob:
        payload = {"file": file, "ms": 2_000 if n % 5 == 0 else 50}
        retry = RetryPolicy(max_attempts=50, base=timedelta(milliseconds=20))
        return NewJob(kind="demo.effect", payload=payload, retry=retry)

    ids: list[str] = []
    for n in range(count):
        request = str(uuid.uuid4())
        if n % 4 == 3:
            both = [job(n), job(n + 1)]
            items = await insist(lambda both=both, r=request: client.enqueue_batch(both, request_id=r))
            ids += [item.id for item in items if isinstance(item, EnqueuedJob)]
        else:
            one = job(n)
            enqueued = await insist(lambda one=one, r=request: client.enqueue(one, request_id=r))
            ids.append(enqueued.job.id)
        if n % 10 == 5:
            await insist(lambda last=ids[-1]: client.cancel(last))
        tell({"enqueued": len(ids)})
    ends = await asyncio.gather(*(client.wait_for_result(id) for id in ids))
    cancelled = sum(1 for end in ends if end.state == JOB_STATE_CANCELLED)
    tell({"ids": ids, "cancelled": cancelled})


async def main(endpoint: str, mode: str, *rest: str) -> None:
    async with Client(endpoint, actor="python") as client:
        if mode == "watch":
            await watch(client)
        else:
            await produce(client, int(rest[0]), rest[1])


asyncio.run(main(*sys.argv[1:]))
