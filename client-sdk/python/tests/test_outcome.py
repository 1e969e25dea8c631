"""An invalid outcome of a handler fails its own attempt only."""

import unittest
from datetime import timedelta
from typing import cast

from sentinel_client._proto.sentinel.workers.v1 import worker_service_pb2 as pb
from sentinel_client._worker.outcome import Failed, HandlerError, HandlerOutcome, Snooze, outcome_of_error, set_outcome


def reported(outcome: HandlerOutcome) -> pb.ReportItem:
    item = pb.ReportItem()
    set_outcome(item, outcome)
    return item


class OutcomeTest(unittest.TestCase):
    def test_lone_surrogates_are_replaced(self) -> None:
        error = reported(outcome_of_error(ValueError("unknown \ud800"))).failed.error
        assert error.message == "unknown ?" and error.retryable

    def test_a_code_that_is_not_a_string_is_converted_to_one(self) -> None:
        assert reported(outcome_of_error(HandlerError("no", code=cast(str, 503)))).failed.error.code == "503"

    def test_an_invalid_delay_is_reported_as_bad_outcome(self) -> None:
        for delay in (timedelta(seconds=-1), timedelta(days=400), cast(timedelta, float("nan"))):
            for outcome in (Snooze(delay), Failed("later", next_delay=delay)):
                error = reported(outcome).failed.error
                assert error.code == "BAD_OUTCOME" and not error.retryable, error


if __name__ == "__main__":
    unittest.main()
