"""The client against a scripted server: retries and watches."""

import unittest
from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc
import grpc.aio
from google.protobuf.any_pb2 import Any as AnyMessage
from google.rpc import error_details_pb2, status_pb2

from sentinel_client import ApiError, Client, InvalidArgumentError, NewJob, TlsConfig, TransportError
from sentinel_client import proto as pb

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

    async def test_retries_are_limited_and_keep_the_request_id_of_the_caller(self) -> None:
        ids: list[str] = []

        async def enqueue(request: pb.EnqueueRequest, context: Any) -> None:
            ids.append(request.request_id)
            await context.abort(grpc.StatusCode.UNAVAILABLE, "unavailable")

        self.enqueue = enqueue
        async with Client(self.endpoint) as client:
            with self.assertRaises(TransportError):
                await client.enqueue(NewJob(kind="echo"), request_id="caller-key")
        self.assertEqual(ids, ["caller-key"] * 4)

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
        async with Client("127.0.0.1:1") as client:
            with self.assertRaises(TransportError):
                await client.get("j1")

    async def test_an_invalid_endpoint_is_rejected_by_the_constructor(self) -> None:
        for invalid in ["", "ftp://x:1"]:
            with self.assertRaises(InvalidArgumentError):
                Client(invalid)
        with self.assertRaisesRegex(InvalidArgumentError, "tls is set, but the scheme is not https://"):
            Client("http://x:1", tls=TlsConfig(ca=""))
        with self.assertRaisesRegex(InvalidArgumentError, "set both cert and key, or neither"):
            Client("https://x:1", tls=TlsConfig(cert=""))

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
