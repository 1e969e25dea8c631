"""Handlers that finish in unusual ways, or not at all, fail their own attempt only."""

import asyncio
import subprocess
import sys
import threading
import unittest
from collections.abc import Callable
from typing import cast

from sentinel_client._proto.sentinel.workers.v1 import worker_service_pb2 as pb
from sentinel_client._worker.outcome import Failed, HandlerOutcome, Succeeded
from sentinel_client._worker.session_state import SessionState
from sentinel_client.worker import Worker, _Run

CLOSED_PORT = "127.0.0.1:1"

STUCK_HANDLER_PROGRAM = """
import asyncio, threading
from sentinel_client._proto.sentinel.workers.v1 import worker_service_pb2 as pb
from sentinel_client.worker import Worker, _Run

async def main():
    started = threading.Event()
    def stuck(job):
        started.set()
        threading.Event().wait()
    worker = Worker("127.0.0.1:1", handlers={"k": stuck})
    run = _Run(worker._config, worker._handlers, asyncio.get_running_loop())
    run.start(1, pb.Assignment(kind="k"))
    await asyncio.to_thread(started.wait)
    await run.close()

asyncio.run(main())
"""


class RunFixture:
    """Runs handlers without a connected session and records their outcomes."""

    def __init__(self, handlers: dict[str, Callable[..., object]]) -> None:
        worker = Worker(CLOSED_PORT, handlers=handlers, concurrency=1)
        self.run = _Run(worker._config, worker._handlers, asyncio.get_running_loop())
        self.outcomes: asyncio.Queue[HandlerOutcome] = asyncio.Queue()
        self.run.session.update = lambda change: change(cast(SessionState, self))  # type: ignore[method-assign]

    def handler_finished(self, now: float, local_id: int, started_at_s: float, outcome: HandlerOutcome) -> None:
        self.outcomes.put_nowait(outcome)

    async def next_outcome(self) -> HandlerOutcome:
        return await asyncio.wait_for(self.outcomes.get(), 30)


async def outcome_of(handler: Callable[..., object]) -> HandlerOutcome:
    fixture = RunFixture({"k": handler})
    fixture.run.start(1, pb.Assignment(kind="k"))
    outcome = await fixture.next_outcome()
    await fixture.run.close()
    return outcome


class WorkerTest(unittest.TestCase):
    def test_a_handler_that_calls_sys_exit_fails(self) -> None:
        def exits(job: object) -> None:
            raise SystemExit(3)

        outcome = asyncio.run(outcome_of(exits))
        assert isinstance(outcome, Failed) and outcome.code == "SYSTEM_EXIT" and "3" in outcome.message

    def test_a_handler_that_awaits_a_cancelled_future_fails(self) -> None:
        async def waits(job: object) -> None:
            future = asyncio.get_running_loop().create_future()
            future.cancel()
            await future

        outcome = asyncio.run(outcome_of(waits))
        assert isinstance(outcome, Failed) and outcome.retryable

    def test_a_function_that_raises_stop_iteration_fails(self) -> None:
        def stops(job: object) -> None:
            raise StopIteration

        outcome = asyncio.run(outcome_of(stops))
        assert isinstance(outcome, Failed) and "StopIteration" in outcome.message

    def test_a_stuck_function_does_not_block_other_jobs(self) -> None:
        async def run() -> None:
            started, finish = threading.Event(), threading.Event()

            def stuck(job: object) -> None:
                started.set()
                finish.wait()

            fixture = RunFixture({"stuck": stuck, "quick": lambda job: "done"})
            fixture.run.start(1, pb.Assignment(kind="stuck"))
            await asyncio.to_thread(started.wait, 30)
            fixture.run.abandon(1)
            await fixture.next_outcome()
            fixture.run.start(2, pb.Assignment(kind="quick"))
            assert await fixture.next_outcome() == Succeeded(b"done")
            finish.set()
            await fixture.run.close()

        asyncio.run(run())

    def test_a_stuck_function_does_not_block_the_exit_of_the_process(self) -> None:
        subprocess.run([sys.executable, "-c", STUCK_HANDLER_PROGRAM], check=True, timeout=30)

    def test_a_worker_runs_outside_the_main_thread(self) -> None:
        failures: list[BaseException] = []

        async def run() -> None:
            worker = Worker(CLOSED_PORT, handlers={"k": lambda job: None})
            running = asyncio.create_task(worker.run())
            done, _ = await asyncio.wait([running], timeout=0.2)
            assert not done, running.exception()
            running.cancel()
            await asyncio.wait([running], timeout=30)
            assert running.cancelled()

        def run_on_thread() -> None:
            try:
                asyncio.run(run())
            except BaseException as error:
                failures.append(error)

        thread = threading.Thread(target=run_on_thread)
        thread.start()
        thread.join(60)
        assert not failures, failures
        sessions = [thread for thread in threading.enumerate() if thread.name == "sentinel-session"]
        for session in sessions:
            session.join(30)
        assert not any(session.is_alive() for session in sessions)


if __name__ == "__main__":
    unittest.main()
