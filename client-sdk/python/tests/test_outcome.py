"""What a handler does wrongly at its end is the failure of its attempt, and of nothing else."""

import unittest
from datetime import timedelta
from typing import cast

from sentinel_client._proto.sentinel.workers.v1 import worker_service_pb2 as pb
from sentinel_client._worker.outcome import Ended, Failed, HandlerError, Snooze, fill, raised


def reported(ended: Ended) -> pb.ReportItem:
    item = pb.ReportItem()
    fill(item, ended)
    return item


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


if __name__ == "__main__":
    unittest.main()
