"""Calls every method of the client on the server at the given address. The server tests run it."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import TypeVar

from sentinel_client import ApiError, Client, NewJob
from sentinel_client import proto as pb
from tls import tls_options

QUEUE = "python"
DELAYED = NewJob(kind="demo.noop", queue=QUEUE, delay=timedelta(hours=1))
Result = TypeVar("Result")


async def until(call: Callable[[], Awaitable[Result]], condition: Callable[[Result], bool]) -> Result:
    """Repeats a call until its result satisfies a condition: the ledger is updated with a delay."""
    while not condition(result := await call()):
        pass
    return result


async def one_job(client: Client) -> None:
    job = (await client.enqueue(DELAYED)).job
    assert job.state == pb.JOB_STATE_SCHEDULED
    assert (await client.get(job.id)).id == job.id
    unknown = "0190a5c2-0000-7000-8000-000000000000"
    missing, known = await client.batch_get([unknown, job.id])
    assert missing is None and known is not None and known.id == job.id

    change = pb.UpdateRequest(id=job.id, spec=pb.JobSpec(priority=7))
    change.update_mask.paths.append("priority")
    assert (await client.update(change)).spec.priority == 7

    # Runs the delayed job now, then retries it.
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
        raise AssertionError("the job was not deleted")
    except ApiError as error:
        assert error.reason == "JOB_NOT_FOUND"


async def logs_and_output(client: Client) -> None:
    new = NewJob(kind="demo.progress", queue=QUEUE, payload={"steps": 2, "step_ms": 1})
    job = (await client.enqueue(new)).job
    await client.wait_for_result(job.id)

    async def lines() -> list[str]:
        return [line.text async for line in client.read_logs(job.id)]

    assert (await until(lines, lambda found: len(found) >= 2))[0] == "step 1 of 2"
    assert [chunk async for chunk in client.read_output(pb.ReadOutputRequest(id=job.id))] == []


async def jobs_of_a_filter(client: Client) -> None:
    items = await client.enqueue_batch([DELAYED, DELAYED, NewJob(kind="", queue=QUEUE)])
    assert [isinstance(item, pb.EnqueuedJob) for item in items] == [True, True, False]
    job_filter = pb.JobFilter(queues=[QUEUE], states=[pb.JOB_STATE_SCHEDULED])

    async def listed() -> list[str]:
        return [job.id async for job in client.list_all(job_filter, page_size=1)]

    assert len(await until(listed, lambda ids: len(ids) >= 2)) == 2
    counts = (await client.counts([QUEUE])).queues[0].states
    assert [count.count for count in counts if count.state == pb.JOB_STATE_SCHEDULED] == [2]
    request = pb.BulkRequest(action=pb.BULK_ACTION_CANCEL, filter=job_filter, dry_run=True)
    assert (await client.bulk(request)).matched == 2
    request.dry_run = False
    bulk_counts = [(count.outcome, count.count) for count in (await client.bulk(request)).counts]
    assert bulk_counts == [(pb.BULK_OUTCOME_CANCELLED, 2)], bulk_counts


async def main() -> None:
    async with Client(sys.argv[1], actor="methods", deadline_s=10.0, tls=tls_options()) as client:
        await one_job(client)
        await logs_and_output(client)
        await jobs_of_a_filter(client)
    print("all methods")


asyncio.run(main())
