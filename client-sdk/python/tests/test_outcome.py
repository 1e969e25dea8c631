"""What a handler does wrongly at its end is the failure of its attempt, and of nothing else."""

import asyncio
import unittest
from datetime import timedelta
from typing import cast

from sentinel_client._proto.sentinel.workers.v1 import worker_service_pb2 as pb
from sentinel_client._worker.outcome import Ended, Failed, HandlerError, Snooze, fill, raised
from sentinel_client._worker.state import SessionState
from sentinel_client.worker import Worker, _Running


def reported(ended: Ended) -> pb.ReportItem:
    item = pb.ReportItem()
    fill(item, ended)
    return item


async def _ended(handler: object) -> Ended:
    """What the session is told of an attempt."""
    worker = Worker("127.0.0.1:1", handlers={"k": handler})  # type: ignore[dict-item]
    fleet = _Running(worker._setup, worker._handlers, asyncio.get_running_loop())
    told: list[Ended] = []

    class Desk:
        def finished(self, now: float, no: int, started_at_s: float, ended: Ended) -> None:
            told.append(ended)

    fleet.session.tell = lambda what: what(cast(SessionState, Desk()))  # type: ignore[method-assign]
    fleet.start(1, pb.Assignment(kind="k"))
    for _ in range(1_000):
        await asyncio.sleep(0.005)
        if told:
            break
    await fleet.close()
    return told[0]


class OutcomeTest(unittest.TestCase):
    def test_text_without_an_encoding_is_reported(self) -> None:
        error = reported(raised(ValueError("unknown \ud800"))).failed.error
        assert error.message == "unknown ?" and error.retryable

    def test_a_code_that_is_no_text_becomes_one(self) -> None:
        assert reported(raised(HandlerError("no", code=cast(str, 503)))).failed.error.code == "503"

    def test_a_wrong_delay_is_told(self) -> None:
        for delay in (timedelta(seconds=-1), timedelta(days=400), cast(timedelta, float("nan"))):
            for ended in (Snooze(delay), Failed("later", next_delay=delay)):
                error = reported(ended).failed.error
                assert error.code == "BAD_OUTCOME" and not error.retryable, error

    def test_a_handler_that_exits_has_failed(self) -> None:
        def leaves(job: object) -> None:
            raise SystemExit(3)

        ended = asyncio.run(_ended(leaves))
        assert isinstance(ended, Failed) and ended.code == "SYSTEM_EXIT" and "3" in ended.message

    def test_a_handler_whose_own_task_was_cancelled_has_failed(self) -> None:
        async def waits(job: object) -> None:
            other = asyncio.get_running_loop().create_future()
            other.cancel()
            await other

        ended = asyncio.run(_ended(waits))
        assert isinstance(ended, Failed) and ended.retryable


if __name__ == "__main__":
    unittest.main()
