"""When a call is tried again."""

import unittest

import grpc

from sentinel_client import ApiError, TransportError
from sentinel_client._tries import Budget, Tries

GONE = TransportError("gone")


def busy(retry_after_s: float) -> ApiError:
    return ApiError("busy", grpc.StatusCode.UNAVAILABLE, "OVERLOADED", retry_after_s=retry_after_s)


class WhenToTryAgain(unittest.TestCase):
    def test_pauses_grow_are_drawn_at_random_and_end_with_the_tries(self) -> None:
        tries = Tries(Budget(), 60.0)
        self.assertEqual([tries.failed(GONE, 0.0, 1.0) for _ in range(4)], [0.1, 0.2, 0.4, None])
        self.assertEqual(Tries(Budget(), 60.0).failed(GONE, 0.0, 0.5), 0.05)

    def test_the_server_may_ask_for_a_longer_pause_as_far_as_the_deadline_goes(self) -> None:
        self.assertEqual(Tries(Budget(), 60.0).failed(busy(5.0), 0.0, 0.0), 5.0)
        self.assertIsNone(Tries(Budget(), 60.0).failed(busy(5.0), 56.0, 0.0))

    def test_a_refusal_is_not_repeated(self) -> None:
        refused = ApiError("no", grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELD")
        self.assertIsNone(Tries(Budget(), 60.0).failed(refused, 0.0, 0.0))

    def test_after_50_failures_nothing_is_repeated_until_enough_is_answered(self) -> None:
        budget = Budget()

        def is_repeated() -> bool:
            return Tries(budget, 60.0).failed(GONE, 0.0, 0.0) is not None

        repeats = 0
        while is_repeated():
            repeats += 1
        self.assertEqual(repeats, 49)
        for _ in range(20):
            budget.answered()
        self.assertTrue(is_repeated())
        self.assertFalse(is_repeated())


if __name__ == "__main__":
    unittest.main()
