"""When calls are retried."""

import unittest

import grpc

from sentinel_client import ApiError, TransportError
from sentinel_client._retry import CallRetry, RetryThrottle

TRANSPORT_ERROR = TransportError("connection lost")


def overloaded(retry_after_s: float) -> ApiError:
    return ApiError("overloaded", grpc.StatusCode.UNAVAILABLE, "OVERLOADED", retry_after_s=retry_after_s)


class RetryTest(unittest.TestCase):
    def test_delays_double_with_jitter_until_the_last_rpc_attempt(self) -> None:
        retry = CallRetry(RetryThrottle(), 60.0)
        delays = [retry.next_delay_s(TRANSPORT_ERROR, 0.0, 1.0) for _ in range(4)]
        self.assertEqual(delays, [0.1, 0.2, 0.4, None])
        self.assertEqual(CallRetry(RetryThrottle(), 60.0).next_delay_s(TRANSPORT_ERROR, 0.0, 0.5), 0.05)

    def test_retry_after_is_honoured_within_the_deadline(self) -> None:
        self.assertEqual(CallRetry(RetryThrottle(), 60.0).next_delay_s(overloaded(5.0), 0.0, 0.0), 5.0)
        self.assertIsNone(CallRetry(RetryThrottle(), 60.0).next_delay_s(overloaded(5.0), 56.0, 0.0))

    def test_other_errors_are_not_retried(self) -> None:
        invalid = ApiError("invalid", grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELD")
        self.assertIsNone(CallRetry(RetryThrottle(), 60.0).next_delay_s(invalid, 0.0, 0.0))

    def test_responses_refill_an_exhausted_throttle(self) -> None:
        throttle = RetryThrottle()

        def is_retried() -> bool:
            return CallRetry(throttle, 60.0).next_delay_s(TRANSPORT_ERROR, 0.0, 0.0) is not None

        retries = 0
        while is_retried():
            retries += 1
        self.assertEqual(retries, 49)
        for _ in range(20):
            throttle.record_response()
        self.assertTrue(is_retried())
        self.assertFalse(is_retried())


if __name__ == "__main__":
    unittest.main()
