"""Handlers that finish in unusual ways, or not at all, fail their own attempt only."""

import asyncio
import subprocess
import sys
import threading
import unittest
from collections.abc import Callable
from typing import Any, cast

from hostile import ADVISE, THROW, PanicException
from sentinel_client import JobContext, JobFinished, JobStarted, WorkerEvent
from sentinel_client._proto.sentinel.jobs.v1 import job_pb2
from sentinel_client._proto.sentinel.workers.v1 import worker_service_pb2 as pb
from sentinel_client._worker.outcome import Failed, HandlerOutcome, Succeeded
from sentinel_client._worker.runner import Runner
from sentinel_client._worker.session_state import SessionState
from sentinel_client.worker import Worker

CLOSED_PORT = "127.0.0.1:1"

STUCK_HANDLER_PROGRAM = """
import asyncio, threading
from sentinel_client._proto.sentinel.workers.v1 import worker_service_pb2 as pb
from sentinel_client._worker.runner import Runner
from sentinel_client.worker import Worker

async def main():
    started = threading.Event()
    def stuck(job):
        started.set()
        threading.Event().wait()
    worker = Worker("127.0.0.1:1", handlers={"k": stuck})
    run = Runner(worker._config, worker._handlers, asyncio.get_running_loop())
    run.start(1, pb.Assignment(kind="k"))
    await asyncio.to_thread(started.wait)
    await run.close()

asyncio.run(main())
"""


class RunFixture:
    """Runs handlers without a connected session and records their outcomes."""

    def __init__(
        self, handlers: dict[str, Callable[..., object]], on_event: Callable[[WorkerEvent], None] | None = None
    ) -> None:
        worker = Worker(CLOSED_PORT, handlers=handlers, concurrency=1, on_event=on_event)
        self.run = Runner(worker._config, worker._handlers, asyncio.get_running_loop())
        self.outcomes: asyncio.Queue[HandlerOutcome] = asyncio.Queue()
        self.progress_calls: list[tuple[int, str]] = []
        self.log_lines: list[str] = []
        self.run.session.update = lambda change: change(cast(SessionState, self))  # type: ignore[method-assign]

    def progress(self, local_id: int, done: int, total: int, message: str) -> None:
        self.progress_calls.append((done, message))

    def log(self, local_id: int, time_s: float, level: job_pb2.LogLevel, text: str) -> None:
        self.log_lines.append(text)

    def handler_started(self, now: float, local_id: int) -> None:
        pass

    def handler_finished(self, now: float, local_id: int, started_at_s: float, outcome: HandlerOutcome) -> None:
        # Functions finish on their threads.
        self.run._loop.call_soon_threadsafe(self.outcomes.put_nowait, outcome)

    async def next_outcome(self) -> HandlerOutcome:
        return await asyncio.wait_for(self.outcomes.get(), 30)


async def outcome_of(handler: Callable[..., object]) -> HandlerOutcome:
    fixture = RunFixture({"k": handler})
    fixture.run.start(1, pb.Assignment(kind="k"))
    outcome = await fixture.next_outcome()
    await fixture.run.close()
    return outcome


class WorkerTest(unittest.TestCase):
    def test_every_exception_of_a_function_or_coroutine_fails_its_attempt(self) -> None:
        async def run() -> None:
            def throw(job: JobContext) -> object:
                return THROW[int(job.payload)]()

            async def throw_async(job: JobContext) -> object:
                return THROW[int(job.payload)]()

            fixture = RunFixture({"function": throw, "coroutine": throw_async})
            for index in range(len(THROW)):
                for kind in ("function", "coroutine"):
                    with self.subTest(index, kind=kind):
                        fixture.run.start(1, pb.Assignment(kind=kind, payload=str(index).encode()))
                        outcome = await fixture.next_outcome()
                        assert isinstance(outcome, Failed) and outcome.retryable and outcome.detail, outcome
            await fixture.run.close()

        with self.assertLogs("sentinel_client.worker", "WARNING") as logs:
            asyncio.run(run())
        assert len(logs.output) == 2 * len(THROW)

    def test_a_coroutine_that_cancels_its_own_task_fails(self) -> None:
        async def cancels(job: object) -> None:
            task = asyncio.current_task()
            assert task is not None
            task.cancel()
            await asyncio.sleep(0)

        outcome = asyncio.run(outcome_of(cancels))
        assert isinstance(outcome, Failed) and outcome.retryable

    def test_functions_run_while_a_coroutine_blocks_the_event_loop(self) -> None:
        async def run() -> None:
            called, blocked = threading.Event(), threading.Event()

            async def blocks(job: object) -> bool:
                blocked.set()
                return called.wait(30)

            fixture = RunFixture({"blocks": blocks, "function": lambda job: called.set()})
            fixture.run.start(1, pb.Assignment(kind="blocks"))
            # The session starts handlers on its thread.
            def session() -> None:
                blocked.wait(30)
                fixture.run.start(2, pb.Assignment(kind="function"))

            start = threading.Thread(target=session)
            start.start()
            outcomes = [await fixture.next_outcome(), await fixture.next_outcome()]
            assert Succeeded(b"true") in outcomes, outcomes
            start.join()
            await fixture.run.close()

        asyncio.run(run())

    def test_hostile_progress_and_logs_are_made_valid(self) -> None:
        async def run() -> None:
            def advise(job: JobContext) -> str:
                for number, text in ADVISE:
                    job.progress(cast(int, number), cast(int, number), cast(str, text))
                    job.log(cast(Any, text), cast(str, text))
                return "advised"

            fixture = RunFixture({"advise": advise})
            fixture.run.start(1, pb.Assignment(kind="advise"))
            assert await fixture.next_outcome() == Succeeded(b"advised")
            assert [done for done, _ in fixture.progress_calls[:6]] == [2**64 - 1, 0, 0, 2**64 - 1, 0, 2**64 - 1]
            for done, message in fixture.progress_calls:
                report = job_pb2.Progress(done=done, message=message).SerializeToString()
                assert len(report) <= 4 * 1024 + 20
            assert len(fixture.log_lines) == len(ADVISE)
            for line in fixture.log_lines:
                job_pb2.LogLine(text=line).SerializeToString()
            await fixture.run.close()

        asyncio.run(run())

    def test_events_are_passed_to_the_hook_whose_failure_has_no_effect(self) -> None:
        async def run() -> None:
            events: list[WorkerEvent] = []

            def hook(event: WorkerEvent) -> None:
                events.append(event)
                raise PanicException("hook")

            def fails(job: object) -> None:
                raise ValueError("broken")

            fixture = RunFixture({"ok": lambda job: None, "fails": fails}, on_event=hook)
            for kind in ("ok", "fails"):
                fixture.run.start(1, pb.Assignment(kind=kind))
                await fixture.next_outcome()
            await fixture.run.close()
            await asyncio.sleep(0)
            finished = [event for event in events if isinstance(event, JobFinished)]
            assert [type(event) for event in events] == [JobStarted, JobFinished] * 2
            assert [event.outcome for event in finished] == ["succeeded", "failed"]
            assert finished[1].message == "broken" and isinstance(finished[1].error, ValueError)

        asyncio.run(run())

    def test_a_handler_that_awaits_a_cancelled_future_fails(self) -> None:
        async def waits(job: object) -> None:
            future = asyncio.get_running_loop().create_future()
            future.cancel()
            await future

        outcome = asyncio.run(outcome_of(waits))
        assert isinstance(outcome, Failed) and outcome.retryable

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
