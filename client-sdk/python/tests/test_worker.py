"""Handlers that end as none should, or not at all: it is their attempt that fails, and nothing else."""

import asyncio
import subprocess
import sys
import threading
import unittest
from collections.abc import Callable
from typing import cast

from sentinel_client._proto.sentinel.workers.v1 import worker_service_pb2 as pb
from sentinel_client._worker.outcome import Ended, Failed, Succeeded
from sentinel_client._worker.state import SessionState
from sentinel_client.worker import Worker, _Running

NOBODY = "127.0.0.1:1"

STUCK = """
import asyncio, threading
from sentinel_client._proto.sentinel.workers.v1 import worker_service_pb2 as pb
from sentinel_client.worker import Worker, _Running

async def main():
    begun = threading.Event()
    def stuck(job):
        begun.set()
        threading.Event().wait()
    worker = Worker("127.0.0.1:1", handlers={"k": stuck})
    fleet = _Running(worker._setup, worker._handlers, asyncio.get_running_loop())
    fleet.start(1, pb.Assignment(kind="k"))
    await asyncio.to_thread(begun.wait)
    await fleet.close()

asyncio.run(main())
"""


class Fleet:
    """Handlers without a session, and what a session would be told of their ends."""

    def __init__(self, handlers: dict[str, Callable[..., object]]) -> None:
        worker = Worker(NOBODY, handlers=handlers, concurrency=1)
        self.running = _Running(worker._setup, worker._handlers, asyncio.get_running_loop())
        self.ends: asyncio.Queue[Ended] = asyncio.Queue()
        self.running.session.tell = lambda what: what(cast(SessionState, self))  # type: ignore[method-assign]

    def finished(self, now: float, no: int, started_at_s: float, ended: Ended) -> None:
        self.ends.put_nowait(ended)

    async def end(self) -> Ended:
        return await asyncio.wait_for(self.ends.get(), 30)


async def end_of(handler: Callable[..., object]) -> Ended:
    fleet = Fleet({"k": handler})
    fleet.running.start(1, pb.Assignment(kind="k"))
    ended = await fleet.end()
    await fleet.running.close()
    return ended


class WorkerTest(unittest.TestCase):
    def test_a_handler_that_exits_has_failed(self) -> None:
        def leaves(job: object) -> None:
            raise SystemExit(3)

        ended = asyncio.run(end_of(leaves))
        assert isinstance(ended, Failed) and ended.code == "SYSTEM_EXIT" and "3" in ended.message

    def test_a_handler_whose_own_task_was_cancelled_has_failed(self) -> None:
        async def waits(job: object) -> None:
            other = asyncio.get_running_loop().create_future()
            other.cancel()
            await other

        ended = asyncio.run(end_of(waits))
        assert isinstance(ended, Failed) and ended.retryable

    def test_a_function_that_stops_an_iteration_has_failed(self) -> None:
        def stops(job: object) -> None:
            raise StopIteration

        ended = asyncio.run(end_of(stops))
        assert isinstance(ended, Failed) and "StopIteration" in ended.message

    def test_a_stuck_function_holds_up_nobody(self) -> None:
        async def run() -> None:
            begun, go = threading.Event(), threading.Event()

            def stuck(job: object) -> None:
                begun.set()
                go.wait()

            fleet = Fleet({"stuck": stuck, "quick": lambda job: "done"})
            fleet.running.start(1, pb.Assignment(kind="stuck"))
            await asyncio.to_thread(begun.wait, 30)
            fleet.running.abandon(1)
            await fleet.end()
            fleet.running.start(2, pb.Assignment(kind="quick"))
            assert await fleet.end() == Succeeded(b"done")
            go.set()
            await fleet.running.close()

        asyncio.run(run())

    def test_a_stuck_function_does_not_hold_up_the_exit(self) -> None:
        subprocess.run([sys.executable, "-c", STUCK], check=True, timeout=30)

    def test_a_loop_that_hears_no_signals_has_workers(self) -> None:
        failures: list[BaseException] = []

        async def run() -> None:
            worker = Worker(NOBODY, handlers={"k": lambda job: None})
            running = asyncio.create_task(worker.run())
            done, _ = await asyncio.wait([running], timeout=0.2)
            assert not done, running.exception()
            running.cancel()
            await asyncio.wait([running], timeout=30)
            assert running.cancelled()

        def elsewhere() -> None:
            try:
                asyncio.run(run())
            except BaseException as error:
                failures.append(error)

        thread = threading.Thread(target=elsewhere)
        thread.start()
        thread.join(60)
        assert not failures, failures
        sessions = [one for one in threading.enumerate() if one.name == "sentinel-session"]
        for one in sessions:
            one.join(30)
        assert not any(one.is_alive() for one in sessions)


if __name__ == "__main__":
    unittest.main()
