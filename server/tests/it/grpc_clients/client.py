"""A client generated from the .proto files only: enqueue, watch, cancel and errors.

Prints the results as one JSON object, which the test checks.
"""

import json
import sys

import grpc
from google.protobuf import duration_pb2

from sentinel.jobs.v1 import job_pb2, job_service_pb2, job_service_pb2_grpc


def error_info(error):
    """Returns reason and domain of an error, read from its trailers without googleapis packages.

    google.rpc.Status is {1: code, 2: message, 3: repeated Any}; ErrorInfo is
    {1: reason, 2: domain}. Both are read field by field.
    """
    trailers = dict(error.trailing_metadata())
    for any_bytes in fields(trailers["grpc-status-details-bin"]).get(3, []):
        any_message = fields(any_bytes)
        if any_message[1][0].endswith(b"google.rpc.ErrorInfo"):
            info = fields(any_message[2][0])
            return info[1][0].decode(), info[2][0].decode()
    return None, None


def fields(data):
    """Returns the length-delimited and varint fields of a message, by number."""
    found, at = {}, 0
    while at < len(data):
        key, at = varint(data, at)
        if key & 7 == 0:
            value, at = varint(data, at)
        else:
            size, at = varint(data, at)
            value, at = data[at : at + size], at + size
        found.setdefault(key >> 3, []).append(value)
    return found


def varint(data, at):
    value, shift = 0, 0
    while True:
        byte = data[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at


def main(address):
    jobs = job_service_pb2_grpc.JobServiceStub(grpc.insecure_channel(address))
    spec = job_pb2.JobSpec(
        queue="default", kind="demo.progress", payload=b'{"steps": 2, "step_ms": 300}'
    )
    job = jobs.Enqueue(job_service_pb2.EnqueueRequest(spec=spec), timeout=10).job
    watch = job_service_pb2.WatchRequest(jobs=job_service_pb2.JobIds(ids=[job.id]))
    results = {"progress": 0}
    for frame in jobs.Watch(watch, timeout=20):
        if frame.HasField("progress"):
            results["progress"] += 1
        if frame.HasField("change"):
            results["last"] = job_pb2.JobState.Name(frame.change.job.state)
            results["result"] = frame.change.job.result.decode()
    delayed = job_pb2.JobSpec(
        queue="default", kind="demo.noop", delay=duration_pb2.Duration(seconds=60)
    )
    waiting = jobs.Enqueue(job_service_pb2.EnqueueRequest(spec=delayed), timeout=10).job
    response = jobs.Cancel(job_service_pb2.CancelRequest(id=waiting.id), timeout=10)
    results["cancel"] = job_service_pb2.CancelOutcome.Name(response.outcome)
    spec.priority = 10
    try:
        jobs.Enqueue(job_service_pb2.EnqueueRequest(spec=spec), timeout=10)
    except grpc.RpcError as error:
        reason, domain = error_info(error)
        results["error"] = {"code": error.code().name, "reason": reason, "domain": domain}
    print(json.dumps(results))


main(sys.argv[1])
