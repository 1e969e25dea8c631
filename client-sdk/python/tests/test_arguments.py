"""Arguments that cannot be sent are refused with the name of the field."""

import asyncio
import unittest
from collections.abc import Callable
from datetime import timedelta
from typing import Any, cast

from hostile import RETURN
from sentinel_client import Client, InvalidArgumentError, NewJob, RetryPolicy, Unique, Worker

BAD_TEXT = "lone \ud800 surrogate"

# What creates a job, and a part of the error.
JOBS: list[tuple[Callable[[], NewJob], str]] = [
    (lambda: NewJob(kind=cast(str, 5)), "job.kind: 5"),
    (lambda: NewJob(kind=BAD_TEXT), "job.kind: the text has a lone surrogate"),
    (lambda: NewJob(kind="k", queue=BAD_TEXT), "job.queue: the text has a lone surrogate"),
    (lambda: NewJob(kind="k", priority=cast(int, "high")), "job.priority: 'high'"),
    (lambda: NewJob(kind="k", priority=2**40), "job.priority: 1099511627776"),
    (lambda: NewJob(kind="k", labels={"a": BAD_TEXT}), "job.labels: the text has a lone surrogate"),
    (lambda: NewJob(kind="k", labels=cast(Any, {"a": 1})), "job.labels: {'a': 1}"),
    (lambda: NewJob(kind="k", labels=cast(Any, 5)), "job.labels: 5"),
    (lambda: NewJob(kind="k", delay=cast(Any, "soon")), "job.delay: 'soon'"),
    (lambda: NewJob(kind="k", delay=cast(Any, float("nan"))), "job.delay: nan"),
    (lambda: NewJob(kind="k", run_at=cast(Any, "tomorrow")), "job.run_at: 'tomorrow'"),
    (lambda: NewJob(kind="k", depends_on="0190"), "ids: '0190'; a list"),
    (lambda: NewJob(kind="k", on_lost=cast(Any, "ignore")), "job.on_lost: 'ignore'; allowed are retry, fail"),
    (lambda: NewJob(kind="k", ack=cast(Any, "hot")), "job.ack: 'hot'; allowed are store, replicated, ledger"),
    (
        lambda: NewJob(kind="k", on_dependency_failure=cast(Any, "fail")),
        "job.on_dependency_failure: 'fail'; allowed are cancel, run",
    ),
    (lambda: NewJob(kind="k", retry=RetryPolicy(backoff=cast(Any, "linear"))), "'linear'; allowed are fixed, expo"),
    (lambda: NewJob(kind="k", retry=RetryPolicy(jitter=cast(Any, ["full"]))), "['full']; allowed are none, full"),
    (lambda: NewJob(kind="k", retry=RetryPolicy(base=cast(Any, "1s"))), "job.retry.base: '1s'"),
    (lambda: NewJob(kind="k", retry=RetryPolicy(max_attempts=-1)), "job.retry.max_attempts: -1"),
    (lambda: NewJob(kind="k", unique=Unique(key="k", scope=cast(Any, "all"))), "'all'; allowed are kind, queue"),
    (lambda: NewJob(kind="k", unique=Unique(key="k", mode=cast(Any, "skip"))), "'skip'; allowed are return_existing"),
    (lambda: NewJob(kind="k", unique=Unique(key="k", ttl=cast(Any, timedelta))), "job.unique.ttl"),
]


class ArgumentsTest(unittest.TestCase):
    def test_a_job_that_cannot_be_sent_is_refused_with_its_field(self) -> None:
        for create, expected in JOBS:
            with self.subTest(expected):
                with self.assertRaises(InvalidArgumentError) as caught:
                    create().to_spec()
                self.assertIn(expected, str(caught.exception))

    def test_a_payload_without_json_is_refused_with_the_path_of_the_part(self) -> None:
        for create, expected in RETURN:
            value = create()
            with self.subTest(expected):
                with self.assertRaises(InvalidArgumentError) as caught:
                    NewJob(kind="k", payload=value).to_spec()
                message = str(caught.exception)
                self.assertTrue(message.startswith(expected.replace("result", "payload")), message[:200])

    def test_calls_refuse_arguments_of_other_types(self) -> None:
        async def run() -> None:
            client = Client("127.0.0.1:1", deadline_s=0.1)
            calls: list[Callable[[], Any]] = [
                lambda: client.get(cast(str, 5)),
                lambda: client.get("j1", view=cast(int, "full")),
                lambda: client.cancel("j1", reason=BAD_TEXT),
                lambda: client.retry("j1", request_id=BAD_TEXT),
                lambda: client.batch_get("j1"),
                lambda: client.counts(cast(Any, [5])),
                lambda: client.enqueue(NewJob(kind="k"), actor=BAD_TEXT),
                lambda: client.queues.create("q", order=cast(Any, "random")),
                lambda: client.queues.pause(cast(str, None) or BAD_TEXT),
                lambda: anext(aiter(client.list(states=cast(Any, ["broken"])))),
                lambda: anext(aiter(client.list(states=cast(Any, "failed")))),
                lambda: client.wait_for_result(cast(str, None)),
            ]
            for index, call in enumerate(calls):
                with self.subTest(index), self.assertRaises(InvalidArgumentError):
                    await call()
            with self.assertRaisesRegex(InvalidArgumentError, "states: 'broken'; allowed are scheduled, blocked"):
                client.list(states=cast(Any, ["broken"]))

        asyncio.run(run())

    def test_settings_of_a_client_are_checked(self) -> None:
        for settings in ({"credential": "k\u00e9y"}, {"credential": "a\nb"}, {"deadline_s": 0}, {"timeout_s": "5"}):
            with self.subTest(settings), self.assertRaises(InvalidArgumentError):
                Client("127.0.0.1:1", **cast(Any, settings))

    def test_settings_of_a_worker_are_checked(self) -> None:
        settings: list[dict[str, Any]] = [
            {"queues": "default"},
            {"queues": []},
            {"queues": [BAD_TEXT]},
            {"queues": [5]},
            {"instance": BAD_TEXT},
            {"instance": "x" * 129},
            {"build_version": BAD_TEXT},
            {"labels": {"a": 1}},
            {"labels": {"a": BAD_TEXT}},
            {"descriptions": {"k": BAD_TEXT}},
            {"input_schemas": {"k": {"a": "x" * 17_000}}},
            {"concurrency": 0},
            {"handlers": {}},
            {"handlers": {"bad kind": None}},
        ]
        for setting in settings:
            handlers = setting.pop("handlers", {"k": lambda job: None})
            with self.subTest(setting), self.assertRaises(InvalidArgumentError):
                Worker("127.0.0.1:1", handlers=handlers, **setting)


if __name__ == "__main__":
    unittest.main()
