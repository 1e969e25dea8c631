"""Every verb of the client against the server at an address, for the tests of the server."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import TypeVar

from sentinel_client import ApiError, Client, NewJob
from sentinel_client import proto as pb

from tls import tls_options

QUEUE = "python"
LATER = NewJob(kind="demo.noop", queue=QUEUE, delay=timedelta(hours=1))
Answer = TypeVar("Answer")


async def until(ask: Callable[[], Awaitable[Answer]], holds: Callable[[Answer], bool]) -> Answer:
    """The ledger is a moment behind."""
    while not holds(answer := await ask()):
        pass
    return answer


async def one_job(client: Client) -> None:
    job = (await client.enqueue(LATER)).job
    assert job.state == pb.JOB_STATE_SCHEDULED
    assert (await client.get(job.id)).id == job.id
    unknown = "0190a5c2-0000-7000-8000-000000000000"
    missing, known = await client.batch_get([unknown, job.id])
    assert missing is None and known is not None and known.id == job.id

    change = pb.UpdateRequest(id=job.id, spec=pb.JobSpec(priority=7))
    change.update_mask.paths.append("priority")
    assert (await client.update(change)).spec.priority == 7

    # Run ahead of its time, to its end, and once more.
    assert (await client.run_now(job.id)).id == job.id
    assert (await client.wait_for_result(job.id)).state == pb.JOB_STATE_SUCCEEDED
    assert (await client.cancel(job.id)).outcome == pb.CANCEL_OUTCOME_ALREADY_TERMINAL
    assert (await client.retry(job.id)).run == 2
    assert (await client.wait_for_result(job.id)).run == 2

    async def attempts() -> list[pb.Attempt]:
        return [attempt async for attempt in client.list_attempts(job.id, page_size=1)]

    newest = (await until(attempts, lambda found: len(found) >= 1))[0]
    assert (newest.run, newest.outcome) == (2, pb.ATTEMPT_OUTCOME_SUCCEEDED)
    await client.delete(job.id)
    try:
        await client.get(job.id)
        raise AssertionError("it is gone")
    except ApiError as error:
        assert error.reason == "JOB_NOT_FOUND"


async def what_it_said(client: Client) -> None:
    new = NewJob(kind="demo.progress", queue=QUEUE, payload={"steps": 2, "step_ms": 1})
    job = (await client.enqueue(new)).job
    await client.wait_for_result(job.id)

    async def lines() -> list[str]:
        return [line.text async for line in client.read_logs(job.id)]

    assert (await until(lines, lambda found: len(found) >= 2))[0] == "step 1 of 2"
    assert [piece async for piece in client.read_output(pb.ReadOutputRequest(id=job.id))] == []


async def all_of_a_filter(client: Client) -> None:
    items = await client.enqueue_batch([LATER, LATER, NewJob(kind="", queue=QUEUE)])
    assert [isinstance(item, pb.EnqueuedJob) for item in items] == [True, True, False]
    chosen = pb.JobFilter(queues=[QUEUE], states=[pb.JOB_STATE_SCHEDULED])

    async def listed() -> list[str]:
        return [job.id async for job in client.list(chosen, page_size=1)]

    assert len(await until(listed, lambda ids: len(ids) >= 2)) == 2
    counts = (await client.counts([QUEUE])).queues[0].states
    assert [count.count for count in counts if count.state == pb.JOB_STATE_SCHEDULED] == [2]
    request = pb.BulkRequest(action=pb.BULK_ACTION_CANCEL, filter=chosen, dry_run=True)
    assert (await client.bulk(request)).matched == 2
    request.dry_run = False
    done = [(count.outcome, count.count) for count in (await client.bulk(request)).counts]
    assert done == [(pb.BULK_OUTCOME_CANCELLED, 2)], done


async def main() -> None:
    async with Client(sys.argv[1], actor="verbs", tls=tls_options()) as client:
        await one_job(client)
        await what_it_said(client)
        await all_of_a_filter(client)
    print("all verbs")


asyncio.run(main())
