"""When calls are repeated."""

import unittest

import grpc

from sentinel_client import ApiError, CallTimeoutError, SentinelError, TransportError
from sentinel_client._retry import CallRetry, RetryBudget

TRANSPORT_ERROR = TransportError("connection lost")


def api_error(code: grpc.StatusCode, retry_after_s: float | None = None) -> ApiError:
    return ApiError("no", code, retry_after_s=retry_after_s)


def new_retry(deadline: float = 60.0) -> CallRetry:
    return CallRetry(RetryBudget(0.0), deadline)


class RetryTest(unittest.TestCase):
    def test_delays_double_with_jitter_up_to_a_limit(self) -> None:
        retry = new_retry()
        delays = [retry.next_delay_s(TRANSPORT_ERROR, 0.0, 1.0) for _ in range(7)]
        self.assertEqual(delays, [0.1, 0.2, 0.4, 0.8, 1.6, 2.0, 2.0])
        self.assertEqual(new_retry().next_delay_s(TRANSPORT_ERROR, 0.0, 0.5), 0.05)

    def test_one_call_alone_is_repeated_until_its_deadline(self) -> None:
        for deadline in (0.5, 3.0, 60.0, 3600.0):
            for jitter in (0.0, 0.3, 1.0):
                with self.subTest(deadline=deadline, jitter=jitter):
                    budget = RetryBudget(0.0)
                    retry = CallRetry(budget, deadline)
                    now, attempts = 0.0, 0
                    while (delay_s := retry.next_delay_s(TRANSPORT_ERROR, now, jitter)) is not None:
                        now, attempts = now + delay_s + 0.001, attempts + 1
                        while (wait_s := retry.wait_for_budget_s(now, jitter)) > 0:
                            now += wait_s
                    self.assertGreater(now, deadline - 0.02)
                    self.assertGreater(attempts, 2)

    def test_only_errors_that_may_pass_are_repeated(self) -> None:
        codes = grpc.StatusCode
        repeated: list[SentinelError] = [
            TRANSPORT_ERROR,
            CallTimeoutError("no response"),
            api_error(codes.UNAVAILABLE),
            api_error(codes.RESOURCE_EXHAUSTED, 1.0),
        ]
        for error in repeated:
            self.assertIsNotNone(new_retry().next_delay_s(error, 0.0, 0.0), error)
        others = [code for code in codes if code not in (codes.UNAVAILABLE,)]
        for code in others:
            self.assertIsNone(new_retry().next_delay_s(api_error(code), 0.0, 0.0), code)

    def test_retry_after_is_honoured_within_the_deadline(self) -> None:
        for code in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED):
            self.assertEqual(new_retry().next_delay_s(api_error(code, 5.0), 0.0, 0.0), 5.0)
            self.assertIsNone(new_retry().next_delay_s(api_error(code, 5.0), 56.0, 0.0))

    def test_the_budget_delays_the_retries_of_a_storm(self) -> None:
        budget = RetryBudget(0.0)
        calls = [CallRetry(budget, 60.0) for _ in range(1_000)]
        waits = [call.wait_for_budget_s(0.0, 0.5) for call in calls]
        self.assertEqual(sum(1 for wait in waits if wait == 0.0), 50)
        self.assertTrue(all(0.0 <= wait <= 2.0 for wait in waits))
        # A second later, and after each response.
        self.assertEqual(sum(1 for call in calls if call.wait_for_budget_s(1.0, 0.5) == 0.0), 10)
        calls[0].succeeded()
        self.assertEqual([calls[1].wait_for_budget_s(1.0, 0.5), calls[2].wait_for_budget_s(1.0, 0.5)], [0.0, 1.0])


if __name__ == "__main__":
    unittest.main()
