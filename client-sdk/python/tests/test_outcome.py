"""Whatever ends a handler is exactly one outcome, and affects its own attempt only."""

import asyncio
import json
import unittest
from datetime import timedelta
from typing import cast

from hostile import RETURN, THROW, NotTruthy
from sentinel_client._json import encode_json
from sentinel_client._proto.sentinel.workers.v1 import worker_service_pb2 as pb
from sentinel_client._worker.outcome import Failed, HandlerError, HandlerOutcome, Snooze, outcome_of, set_outcome
from sentinel_client.worker import Worker

MAX_TEXT_BYTES = 16 * 1024


def reported(outcome: HandlerOutcome) -> pb.ReportItem:
    item = pb.ReportItem()
    set_outcome(item, outcome)
    # Everything can be sent.
    return pb.ReportItem.FromString(item.SerializeToString())


def raised(index: int) -> BaseException:
    try:
        THROW[index]()
    except BaseException as error:
        return error
    raise AssertionError(f"{index} does not raise")


class OutcomeTest(unittest.TestCase):
    def test_every_exception_is_a_failure_with_text_and_a_stack(self) -> None:
        for index in range(len(THROW)):
            with self.subTest(index):
                item = reported(outcome_of(None, raised(index)))
                self.assertEqual(item.WhichOneof("outcome"), "failed")
                error = item.failed.error
                self.assertTrue(error.retryable)
                self.assertTrue(0 < len(error.message.encode()) <= MAX_TEXT_BYTES)
                self.assertTrue(0 < len(error.detail.encode()) <= MAX_TEXT_BYTES)

    def test_the_detail_keeps_the_innermost_frames(self) -> None:
        def innermost_frame(depth: int) -> None:
            if depth > 0:
                innermost_frame(depth - 1)
            raise ValueError("x" * 1024 * 1024)

        for depth in (0, 200):
            try:
                innermost_frame(depth)
            except ValueError as error:
                detail = reported(outcome_of(None, error)).failed.error.detail
                self.assertIn("in innermost_frame", detail)
                self.assertIn('raise ValueError("x"', detail)

    def test_every_value_without_json_is_a_bad_result_that_names_the_part(self) -> None:
        for index, (create, path) in enumerate(RETURN):
            with self.subTest(index, path=path):
                error = reported(outcome_of(create(), None)).failed.error
                self.assertEqual((error.code, error.retryable), ("BAD_RESULT", False))
                self.assertTrue(error.message.startswith(path), error.message[:200])

    def test_values_with_json_are_written_as_before(self) -> None:
        values: list[object] = [None, [], {"a": [1, 2.5, True, None]}, "text", "\U0001f600", {1: 2}]
        values.append({"\U0001f600": ["é"]})
        for value in values:
            with self.subTest(value):
                self.assertEqual(json.loads(encode_json(value, "payload")), json.loads(json.dumps(value)))

    def test_lone_surrogates_are_replaced(self) -> None:
        error = reported(outcome_of(None, ValueError("unknown \ud800"))).failed.error
        assert error.message == "unknown ?" and error.retryable

    def test_a_code_that_is_not_a_string_is_converted_to_one(self) -> None:
        assert reported(outcome_of(None, HandlerError("no", code=cast(str, 503)))).failed.error.code == "503"

    def test_an_invalid_delay_is_reported_as_bad_outcome(self) -> None:
        for delay in (timedelta(seconds=-1), timedelta(days=400), cast(timedelta, float("nan")), NotTruthy()):
            for outcome in (Snooze(cast(timedelta, delay)), Failed("later", next_delay=cast(timedelta, delay))):
                error = reported(outcome).failed.error
                assert error.code == "BAD_OUTCOME" and not error.retryable, error


class SettingsTest(unittest.TestCase):
    def test_a_worker_can_be_created_without_an_event_loop(self) -> None:
        self.assertRaises(RuntimeError, asyncio.get_running_loop)
        Worker("127.0.0.1:1", handlers={"k": lambda job: None})


if __name__ == "__main__":
    unittest.main()
