"""The client against a scripted server: retries and watches."""

import asyncio
import inspect
import ssl
import subprocess
import tempfile
import time
import unittest
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast

import grpc
import grpc.aio
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.rpc import error_details_pb2, status_pb2

from sentinel_client import (
    ApiError,
    CallTimeoutError,
    Client,
    InvalidArgumentError,
    JobHandle,
    NewJob,
    Queues,
    SyncClient,
    TlsConfig,
    TransportError,
)
from sentinel_client import proto as pb
from sentinel_client._endpoint import parse_endpoint
from sentinel_client.sync import SyncJobHandle, SyncQueues

SERVICE = "sentinel.jobs.v1.JobService"


class ClientTest(unittest.IsolatedAsyncioTestCase):
    async def asyncSetUp(self) -> None:
        self.enqueue: Callable[[pb.EnqueueRequest, Any], Any]
        self.watch: Callable[[pb.WatchRequest, Any], AsyncIterator[pb.WatchResponse]]
        self.server = grpc.aio.server()

        # Wrappers, because gRPC inspects the kind of the registered functions.
        async def enqueue(request: pb.EnqueueRequest, context: Any) -> Any:
            return await self.enqueue(request, context)

        async def watch(request: pb.WatchRequest, context: Any) -> AsyncIterator[pb.WatchResponse]:
            async for frame in self.watch(request, context):
                yield frame

        handlers = {
            "Enqueue": grpc.unary_unary_rpc_method_handler(
                enqueue,
                pb.EnqueueRequest.FromString,
                pb.EnqueueResponse.SerializeToString,
            ),
            "Watch": grpc.unary_stream_rpc_method_handler(
                watch,
                pb.WatchRequest.FromString,
                pb.WatchResponse.SerializeToString,
            ),
        }
        self.server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
        self.endpoint = f"127.0.0.1:{self.server.add_insecure_port('127.0.0.1:0')}"
        await self.server.start()

    async def asyncTearDown(self) -> None:
        await self.server.stop(None)

    async def test_an_unavailable_enqueue_is_retried_with_the_same_request_id(self) -> None:
        ids: list[str] = []

        async def enqueue(request: pb.EnqueueRequest, context: Any) -> pb.EnqueueResponse:
            ids.append(request.request_id)
            headers = dict(context.invocation_metadata())
            self.assertEqual(headers["authorization"], "Bearer key")
            self.assertEqual(headers["traceparent"], "00-1-2-01")
            if len(ids) < 3:
                await context.abort(grpc.StatusCode.UNAVAILABLE, "unavailable")
            return pb.EnqueueResponse(job=pb.Job(id="j1"))

        self.enqueue = enqueue
        async with Client(self.endpoint, credential="key") as client:
            enqueued = await client.enqueue(NewJob(kind="echo", traceparent="00-1-2-01"))
        self.assertEqual(enqueued.job.id, "j1")
        self.assertEqual(len(ids), 3)
        self.assertEqual(len(set(ids)), 1)
        self.assertTrue(ids[0])

    async def test_a_call_is_repeated_until_its_deadline_and_keeps_the_request_id_of_the_caller(self) -> None:
        ids: list[str] = []

        async def enqueue(request: pb.EnqueueRequest, context: Any) -> None:
            ids.append(request.request_id)
            await context.abort(grpc.StatusCode.UNAVAILABLE, "unavailable")

        self.enqueue = enqueue
        async with Client(self.endpoint, deadline_s=1.5) as client:
            started = time.monotonic()
            with self.assertRaises(TransportError):
                await client.enqueue(NewJob(kind="echo"), request_id="caller-key")
        self.assertGreater(time.monotonic() - started, 1.4)
        self.assertGreaterEqual(len(ids), 4)
        self.assertEqual(set(ids), {"caller-key"})

    async def test_an_invalid_request_is_not_retried_and_lists_its_field_violations(self) -> None:
        calls = 0

        async def enqueue(_: pb.EnqueueRequest, context: Any) -> None:
            nonlocal calls
            calls += 1
            info, bad_request = AnyMessage(), AnyMessage()
            info.Pack(error_details_pb2.ErrorInfo(reason="INVALID_FIELD", domain="sentinel"))
            violation = error_details_pb2.BadRequest.FieldViolation(field="spec.priority", description="10")
            bad_request.Pack(error_details_pb2.BadRequest(field_violations=[violation]))
            status = status_pb2.Status(code=3, message="no", details=[info, bad_request])
            context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "no")

        self.enqueue = enqueue
        async with Client(self.endpoint) as client:
            with self.assertRaises(ApiError) as caught:
                await client.enqueue(NewJob(kind="echo", priority=10))
        self.assertEqual(caught.exception.reason, "INVALID_FIELD")
        self.assertEqual(caught.exception.field_violations[0].field, "spec.priority")
        self.assertEqual(calls, 1)

    async def test_a_call_to_a_closed_port_is_a_transport_error(self) -> None:
        async with Client("127.0.0.1:1", deadline_s=0.5) as client:
            with self.assertRaises(TransportError):
                await client.get("j1")

    async def test_an_invalid_endpoint_is_rejected_by_the_constructor(self) -> None:
        invalid = ["", "ftp://x:1", "::1:7070", "http://x:port", "http://x:1/path", "http://u@x:1", "http://x:99999"]
        for text in [*invalid, cast(str, 5)]:
            with self.subTest(text), self.assertRaises(InvalidArgumentError):
                Client([text])
        with self.assertRaises(InvalidArgumentError):
            Client([])
        with self.assertRaisesRegex(InvalidArgumentError, "tls is set, but the scheme is not https://"):
            Client("http://x:1", tls=TlsConfig(ca=""))
        with self.assertRaisesRegex(InvalidArgumentError, "set both cert and key, or neither"):
            Client("https://x:1", tls=TlsConfig(cert=""))

    async def test_endpoints_are_parsed_as_written_by_people(self) -> None:
        endpoints = {
            "[::1]:7070": ("[::1]:7070", False),
            "http://[::1]:7070/": ("[::1]:7070", False),
            "https://[fe80::1]": ("[fe80::1]:443", True),
            "HTTP://Example.org": ("example.org:80", False),
            " localhost:1 ": ("localhost:1", False),
        }
        for text, expected in endpoints.items():
            self.assertEqual(tuple(parse_endpoint(text)), expected)

    async def test_another_server_is_used_when_one_is_not_reachable(self) -> None:
        async def enqueue(_: pb.EnqueueRequest, __: Any) -> pb.EnqueueResponse:
            return pb.EnqueueResponse(job=pb.Job(id="j1"))

        self.enqueue = enqueue
        async with Client(["127.0.0.1:1", self.endpoint], deadline_s=10) as client:
            for _ in range(3):
                self.assertEqual((await client.enqueue(NewJob(kind="echo"))).job.id, "j1")

    async def test_the_deadline_of_a_server_is_a_timeout(self) -> None:
        async def enqueue(_: pb.EnqueueRequest, context: Any) -> None:
            await context.abort(grpc.StatusCode.DEADLINE_EXCEEDED, "too late")

        self.enqueue = enqueue
        async with Client(self.endpoint, deadline_s=0.5) as client:
            with self.assertRaises(CallTimeoutError):
                await client.enqueue(NewJob(kind="echo"))

    async def test_a_delay_that_the_server_asks_for_is_honoured(self) -> None:
        times: list[float] = []

        async def enqueue(_: pb.EnqueueRequest, context: Any) -> pb.EnqueueResponse:
            times.append(time.monotonic())
            if len(times) == 1:
                retry = AnyMessage()
                retry.Pack(error_details_pb2.RetryInfo(retry_delay=Duration(nanos=300_000_000)))
                status = status_pb2.Status(code=8, message="later", details=[retry])
                context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
                await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "later")
            return pb.EnqueueResponse(job=pb.Job(id="j1"))

        self.enqueue = enqueue
        async with Client(self.endpoint) as client:
            await client.enqueue(NewJob(kind="echo"))
        self.assertGreater(times[1] - times[0], 0.29)

    async def test_a_thousand_calls_at_once(self) -> None:
        async def enqueue(request: pb.EnqueueRequest, _: Any) -> pb.EnqueueResponse:
            return pb.EnqueueResponse(job=pb.Job(id=request.request_id))

        self.enqueue = enqueue
        async with Client(self.endpoint) as client:
            calls = [client.enqueue(NewJob(kind="echo"), request_id=str(number)) for number in range(1_000)]
            ids = [result.job.id for result in await asyncio.gather(*calls)]
        self.assertEqual(ids, [str(number) for number in range(1_000)])

    async def test_a_closed_client_fails_its_calls(self) -> None:
        blocked = asyncio.Event()

        async def enqueue(_: pb.EnqueueRequest, __: Any) -> None:
            blocked.set()
            await asyncio.Event().wait()

        self.enqueue = enqueue
        client = Client(self.endpoint, deadline_s=1)
        call = asyncio.create_task(client.enqueue(NewJob(kind="echo")))
        await blocked.wait()
        await client.close()
        for failing in (call, client.get("j1")):
            with self.assertRaises(TransportError):
                await failing

    async def test_http_to_a_tls_port_and_https_to_a_port_without_tls_say_so(self) -> None:
        async def silent(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.close()

        with tempfile.TemporaryDirectory() as folder:
            cert, key = f"{folder}/cert.pem", f"{folder}/key.pem"
            subject = ["-subj", "/CN=localhost", "-days", "1", "-nodes", "-newkey", "rsa:2048"]
            command = ["openssl", "req", "-x509", *subject, "-keyout", key, "-out", cert]
            subprocess.run(command, check=True, capture_output=True)
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(cert, key)
            server = await asyncio.start_server(silent, "127.0.0.1", 0, ssl=context)
        address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with Client(f"http://{address}", deadline_s=20) as client:
            with self.assertRaisesRegex(TransportError, "speaks TLS: use https://"):
                await client.get("j1")
        async with Client(f"http://{address}") as client:
            with self.assertRaisesRegex(TransportError, "speaks TLS: use https://"):
                await client.wait_for_result("j1", timeout=20)
        async with Client(f"https://{self.endpoint}", deadline_s=20) as client:
            with self.assertRaisesRegex(TransportError, "does not speak TLS: use http://"):
                await client.get("j1")
        server.close()

    async def test_ids_are_compared_in_their_canonical_form(self) -> None:
        canonical = "0190a5c2-0000-7000-8000-00000000abcd"
        asked: list[str] = []

        async def watch(request: pb.WatchRequest, _: Any) -> AsyncIterator[pb.WatchResponse]:
            asked.extend(request.jobs.ids)
            job = pb.Job(id=canonical, state=pb.JOB_STATE_SUCCEEDED)
            yield pb.WatchResponse(cursor="c1", snapshot=pb.WatchSnapshot(jobs=[job]))

        self.watch = watch
        spellings = [
            canonical.upper(),
            canonical.replace("-", ""),
            f"{{{canonical}}}",
            f"urn:uuid:{canonical.upper()}",
        ]
        async with Client(self.endpoint) as client:
            for spelling in spellings:
                self.assertEqual((await client.wait_for_result(spelling, timeout=10)).id, canonical)
        self.assertEqual(asked, [canonical] * len(spellings))

    async def test_waiting_for_a_result_has_a_timeout(self) -> None:
        async def watch(_: pb.WatchRequest, __: Any) -> AsyncIterator[pb.WatchResponse]:
            await asyncio.Event().wait()
            yield pb.WatchResponse()

        self.watch = watch
        async with Client(self.endpoint) as client:
            with self.assertRaisesRegex(CallTimeoutError, "has not finished within 0.1 s"):
                await client.wait_for_result("j1", timeout=0.1)

    async def test_the_blocking_client_is_safe_in_threads(self) -> None:
        async def enqueue(request: pb.EnqueueRequest, _: Any) -> pb.EnqueueResponse:
            return pb.EnqueueResponse(job=pb.Job(id=request.request_id))

        self.enqueue = enqueue
        with SyncClient(self.endpoint) as client:

            def call(number: int) -> str:
                return client.enqueue(NewJob(kind="echo"), request_id=str(number)).job.id

            def call_all() -> list[str]:
                with ThreadPoolExecutor(16) as pool:
                    return list(pool.map(call, range(200)))

            self.assertEqual(await asyncio.to_thread(call_all), [str(number) for number in range(200)])
            with self.assertRaises(InvalidArgumentError):
                client.enqueue(NewJob(kind=cast(str, 5)))
            await asyncio.to_thread(client.close)

    def test_the_blocking_client_has_the_same_calls(self) -> None:
        for asynchronous, blocking in ((Client, SyncClient), (Queues, SyncQueues), (JobHandle, SyncJobHandle)):
            names = [name for name in vars(asynchronous) if not name.startswith("_")]
            self.assertEqual(names, [name for name in vars(blocking) if not name.startswith("_")])
            for name in names:
                if callable(vars(asynchronous)[name]):
                    signatures = [inspect.signature(vars(kind)[name]) for kind in (asynchronous, blocking)]
                    self.assertEqual(*[[str(one) for one in both.parameters.values()] for both in signatures])

    async def test_a_watch_resumes_from_the_last_cursor_and_closes_when_the_job_is_terminal(self) -> None:
        cursors: list[str] = []

        def change(state: Any) -> pb.JobChange:
            return pb.JobChange(job=pb.Job(id="j1", state=state))

        async def watch(request: pb.WatchRequest, context: Any) -> AsyncIterator[pb.WatchResponse]:
            cursors.append(request.cursor)
            if len(cursors) == 1:
                yield pb.WatchResponse(cursor="c1", change=change(pb.JOB_STATE_RUNNING))
                # Moves the cursor but is not returned.
                yield pb.WatchResponse(cursor="c2", keepalive=pb.WatchKeepalive())
                await context.abort(grpc.StatusCode.UNAVAILABLE, "shutting down")
            # A stream that closes early without an error is a disconnect, too.
            if len(cursors) == 3:
                yield pb.WatchResponse(cursor="c3", change=change(pb.JOB_STATE_SUCCEEDED))

        self.watch = watch
        async with Client(self.endpoint) as client:
            states = [event.change.job.state async for event in client.watch(jobs=["j1"])]
        self.assertEqual(states, [pb.JOB_STATE_RUNNING, pb.JOB_STATE_SUCCEEDED])
        self.assertEqual(cursors, ["", "c2", "c2"])

    async def test_wait_for_result_of_an_unknown_job_is_an_error(self) -> None:
        async def watch(_: pb.WatchRequest, __: Any) -> AsyncIterator[pb.WatchResponse]:
            yield pb.WatchResponse(cursor="c1", snapshot=pb.WatchSnapshot(unknown_ids=["j1"]))

        self.watch = watch
        async with Client(self.endpoint) as client:
            with self.assertRaises(ApiError) as caught:
                await client.wait_for_result("j1")
        self.assertEqual(caught.exception.reason, "JOB_NOT_FOUND")


if __name__ == "__main__":
    unittest.main()
