"""The Python client for the conformance tests: reads one JSON command per line, runs them concurrently, and writes
one JSON line per finished command."""

import argparse
import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from sentinel_client import (
    ApiError,
    CallTimeoutError,
    Client,
    InvalidArgumentError,
    NewJob,
    SentinelError,
    TlsConfig,
    TransportError,
)
from sentinel_client import proto as pb


def state_name(job: pb.Job) -> str:
    return pb.JobState.Name(job.state).removeprefix("JOB_STATE_")


async def call(client: Client, command: dict[str, Any]) -> dict[str, Any]:
    deadline_s = command["deadline_ms"] / 1000
    limited = client.with_deadline(deadline_s)
    match command["call"]:
        case "enqueue":
            enqueued = await limited.enqueue(NewJob(kind=command["kind"], payload=command["payload"]))
            return {"job_id": enqueued.job.id}
        case "get":
            job = await limited.get(command["job_id"])
            return {"state": state_name(job), "version": job.version}
        case "wait_for_result":
            job = await limited.wait_for_result(command["job_id"], timeout=deadline_s)
            return {"state": state_name(job), "result": job.result.decode(errors="replace")}
        case other:
            raise InvalidArgumentError(f"unknown call {other}")


def described(error: SentinelError) -> dict[str, Any]:
    types = {ApiError: "api", TransportError: "transport", CallTimeoutError: "timeout"}
    name = next((name for kind, name in types.items() if isinstance(error, kind)), "protocol")
    api = error if isinstance(error, ApiError) else None
    violations = api.field_violations if api is not None else ()
    return {
        "type": "invalid_argument" if isinstance(error, InvalidArgumentError) else name,
        "reason": api.reason if api is not None else "",
        "message": str(error),
        "violations": [{"field": one.field, "description": one.description} for one in violations],
        "retry_delay_ms": round(((api.retry_after_s if api is not None else None) or 0.0) * 1000),
    }


async def answer(client: Client | InvalidArgumentError, command: dict[str, Any]) -> None:
    try:
        if isinstance(client, InvalidArgumentError):
            raise client
        line = {"id": command["id"], "ok": await call(client, command)}
    except SentinelError as error:
        line = {"id": command["id"], "error": described(error)}
    print(json.dumps(line), flush=True)


async def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--endpoint", action="append", required=True)
    parser.add_argument("--credential")
    parser.add_argument("--ca")
    args = parser.parse_args()
    tls = None if args.ca is None else TlsConfig(ca=Path(args.ca).read_text(encoding="utf-8"))
    client: Client | InvalidArgumentError
    try:
        client = Client(args.endpoint, credential=args.credential, tls=tls)
    except InvalidArgumentError as error:
        client = error
    running = []
    while line := await asyncio.to_thread(sys.stdin.readline):
        if line.strip():
            running.append(asyncio.create_task(answer(client, json.loads(line))))
    await asyncio.gather(*running)
    if isinstance(client, Client):
        await client.close()


asyncio.run(main())
