"""Typed jobs: payloads and results as dataclasses and pydantic models, and their schemas."""

import dataclasses
import enum
import importlib
import importlib.util
import json
import unittest
from datetime import UTC, date, datetime
from typing import Any, Literal, cast
from uuid import UUID

from sentinel_client import HandlerError, InvalidArgumentError, JobContext, Snooze, Worker, define_job
from sentinel_client._decode import DecodeError, decode, json_schema
from sentinel_client._json import decode_json, encode_json
from sentinel_client._proto.sentinel.workers.v1 import worker_service_pb2 as pb


class Colour(enum.Enum):
    RED = "red"


@dataclasses.dataclass
class Part:
    name: str
    weight: float = 1.0


@dataclasses.dataclass
class Order:
    id: UUID
    at: datetime
    day: date
    colour: Colour
    parts: list[Part]
    totals: dict[str, int]
    mode: Literal["fast", "slow"] = "fast"
    note: str | None = None
    pair: tuple[int, str] = (1, "a")
    tags: tuple[str, ...] = ()
    parent: "Order | None" = None


def order(**changes: Any) -> Order:
    id, at = UUID(int=7), datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    values = {"id": id, "at": at, "day": at.date(), "colour": Colour.RED, "parts": [Part("a")], "totals": {"a": 1}}
    return Order(**{**values, **changes})


def context(payload: object) -> JobContext:
    content = payload if isinstance(payload, bytes) else encode_json(payload, "payload")
    return JobContext(1, pb.Assignment(kind="k", payload=content), "i", cast(Any, None), cast(Any, None))


class TypedTest(unittest.TestCase):
    def test_values_come_back_with_their_types(self) -> None:
        for value in (order(), order(parent=order(), note="n", tags=("a", "b"), mode="slow", parts=[])):
            encoded = encode_json(value, "payload")
            self.assertEqual(decode(Order, decode_json(encoded), "payload"), value)
            self.assertEqual(context(encoded).payload_as(Order), value)

    def test_a_payload_that_does_not_fit_is_refused_with_its_path(self) -> None:
        good = json.loads(encode_json(order(), "payload"))
        cases: list[tuple[dict[str, Any], str]] = [
            ({"parts": [{"name": 5}]}, "payload.parts[0].name: expected string, found int"),
            ({"parts": {}}, "payload.parts: expected an array, found dict"),
            ({"totals": {"a": "1"}}, "payload.totals.a: expected integer, found str"),
            ({"totals": {"a": True}}, "payload.totals.a: expected integer, found bool"),
            ({"id": "nope"}, "payload.id: 'nope' is no UUID"),
            ({"at": 5}, "payload.at: 5 is no datetime"),
            ({"colour": "green"}, "payload.colour: 'green' is no Colour"),
            ({"mode": "medium"}, "payload.mode: 'medium' is none of 'fast', 'slow'"),
            ({"pair": [1]}, "payload.pair: expected an array of 2"),
            ({"note": 5}, "payload.note: expected string, found int"),
        ]
        for change, expected in cases:
            with self.subTest(expected):
                with self.assertRaises(HandlerError) as caught:
                    context({**good, **change}).payload_as(Order)
                self.assertIn(expected, str(caught.exception))
                self.assertEqual((caught.exception.code, caught.exception.retryable), ("BAD_PAYLOAD", False))
        del good["id"]
        with self.assertRaises(DecodeError):
            decode(Order, good, "payload")
        for broken in (b"{", b"[NaN]", b"[" * 100_000, b"\xff"):
            with self.subTest(broken[:5]), self.assertRaises(HandlerError) as caught:
                context(broken).payload_as(Order)
            self.assertEqual(caught.exception.code, "BAD_PAYLOAD")

    def test_the_worker_declares_schemas_and_queues_of_typed_handlers(self) -> None:
        job_type = define_job("order.check", payload=Part, result=bool, queue="orders", description="Checks.")

        @job_type.handler
        def check(part: Part, job: JobContext) -> bool | Snooze:
            return part.weight > 0

        config = Worker("127.0.0.1:1", handlers=[check])._config
        self.assertEqual((config.queues, config.kinds), (["orders"], {"order.check": "Checks."}))
        schema = json.loads(config.input_schemas["order.check"])
        self.assertEqual(schema["required"], ["name"])
        self.assertEqual(schema["properties"]["weight"], {"type": "number"})
        self.assertEqual(check.run(context(Part("a"))), b"true")
        with self.assertRaises(InvalidArgumentError):
            Worker("127.0.0.1:1", handlers=[check, check])
        with self.assertRaises(InvalidArgumentError):
            job_type.new(Part("a"), unknown=1)
        self.assertEqual(job_type.new(Part("a"), priority=3).priority, 3)

    def test_schemas_describe_annotated_types(self) -> None:
        properties = cast(dict[str, Any], json_schema(Order))["properties"]
        self.assertEqual(properties["id"], {"type": "string", "format": "uuid"})
        self.assertEqual(properties["colour"], {"enum": ["red"]})
        self.assertEqual(properties["parts"]["items"]["properties"]["name"], {"type": "string"})
        self.assertEqual(properties["tags"], {"type": "array", "items": {"type": "string"}})
        self.assertIsNone(json_schema(int))

    @unittest.skipIf(importlib.util.find_spec("pydantic") is None, "pydantic is optional")
    def test_pydantic_models_are_payloads_and_results(self) -> None:
        pydantic = importlib.import_module("pydantic")
        model = pydantic.create_model("Model", at=(datetime, ...), n=(int, 1))
        value = model(at=datetime(2026, 1, 2, tzinfo=UTC))
        self.assertEqual(context(value).payload_as(model), value)
        self.assertEqual(context([value]).payload_as(cast(Any, list.__class_getitem__(model))), [value])
        with self.assertRaises(HandlerError) as caught:
            context({"at": "yesterday"}).payload_as(model)
        self.assertIn("payload: 1 validation error", str(caught.exception))
        self.assertEqual(cast(dict[str, Any], json_schema(model))["required"], ["at"])


if __name__ == "__main__":
    unittest.main()
