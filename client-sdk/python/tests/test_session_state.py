"""The rules of a session for the slots and the time limits of handlers, on a simulated clock."""

import time
import unittest

from sentinel_client._proto.sentinel.workers.v1 import worker_service_pb2 as pb
from sentinel_client._worker.constants import ABANDON_GRACE_S
from sentinel_client._worker.events import Events
from sentinel_client._worker.interfaces import CheckpointResult, OutputResult, SessionConfig
from sentinel_client._worker.outcome import Failed, HandlerOutcome, Succeeded
from sentinel_client._worker.session_state import SessionState


class FakeHandlers:
    """Records what the session requests; a function that ignores its cancel does nothing else."""

    def __init__(self) -> None:
        self.events = Events(None, lambda call: call())
        self.started: list[int] = []
        self.cancelled: list[int] = []
        self.abandoned: list[int] = []

    def start(self, local_id: int, assignment: pb.Assignment) -> None:
        self.started.append(local_id)

    def cancel(self, local_id: int) -> None:
        self.cancelled.append(local_id)

    def abandon(self, local_id: int) -> None:
        self.abandoned.append(local_id)

    def checkpoint_result(self, local_id: int, seq: int, result: CheckpointResult) -> None:
        raise AssertionError("no checkpoint")

    def output_result(self, local_id: int, offset: int, result: OutputResult) -> None:
        raise AssertionError("no output")


class SlotsTest(unittest.TestCase):
    def setUp(self) -> None:
        self.now = time.monotonic()
        self.handlers = FakeHandlers()
        config = SessionConfig([], None, None, "i", "", ["q"], {"k": ""}, {}, 1, 0, 30.0)
        self.state = SessionState(config, self.handlers, self.now, lambda: 0.5)
        self.granted = self.state.hello(self.now).credit.jobs
        self.state.welcome(self.now, pb.Welcome(session="s"))
        self.assigned = 0
        self.reports: list[pb.ReportItem] = []

    def assign(self, run_timeout_s: int) -> None:
        self.assigned += 1
        lease = pb.Lease(job_id=str(self.assigned), run=1, attempt=1, epoch=1, session="s")
        item = pb.Assignment(lease=lease, kind="k")
        item.run_timeout.seconds = run_timeout_s
        self.state.frame(self.now, pb.SessionResponse(assign=pb.Assign(assign_seq=self.assigned, items=[item])))

    def advance(self, seconds: float) -> None:
        self.now += seconds
        self.state.advance(self.now)
        while (frame := self.state.next_frame(self.now)) is not None:
            self.granted += frame.credit.jobs
            self.reports += frame.report.items

    def finish(self, local_id: int, outcome: HandlerOutcome) -> None:
        self.state.handler_finished(self.now, local_id, None, outcome)
        self.advance(0)

    def test_the_run_timeout_starts_with_the_handler(self) -> None:
        self.assign(run_timeout_s=2)
        self.advance(60)
        self.assertEqual(self.reports, [])
        self.state.handler_started(self.now, 1)
        self.advance(1.9)
        self.assertEqual(self.reports, [])
        self.advance(0.2)
        self.assertEqual([report.failed.error.code for report in self.reports], ["TIMEOUT"])

    def test_a_job_is_taken_only_when_its_handler_can_be_called(self) -> None:
        for round in range(1, 20):
            self.assertEqual(self.granted, round)
            self.assign(run_timeout_s=1)
            self.assertEqual(self.handlers.started, list(range(1, round + 1)))
            self.state.handler_started(self.now, round)
            # The function ignores its cancel: its slot is free again after the grace period, not before.
            self.advance(1.1)
            self.assertEqual(self.handlers.cancelled, self.handlers.started)
            self.assertEqual(self.granted, round)
            self.advance(ABANDON_GRACE_S)
            self.assertEqual(self.handlers.abandoned, self.handlers.started)
            # A late end has no effect.
            self.finish(round, Failed("late") if round % 2 else Succeeded(b""))
        self.assertEqual(len(self.reports), 19)


if __name__ == "__main__":
    unittest.main()
