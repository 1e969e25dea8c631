"""The web application. Start it with `uvicorn thumbnail_app:app`; SENTINEL_SERVER is the address of the server,
by default http://127.0.0.1:7070. With several processes (`--workers`) each has its own client, since the client is
created when the process starts to serve and not when this module is imported."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from thumbnail_jobs import MAKE_THUMBNAIL, Stored, Thumbnail

from sentinel_client import ApiError, Client, JobNotSucceededError
from sentinel_client.proto import JobState


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    server = os.environ.get("SENTINEL_SERVER", "http://127.0.0.1:7070")
    async with Client(server, credential=os.environ.get("SENTINEL_CREDENTIAL"), deadline_s=10) as client:
        app.state.client = client
        yield


app = FastAPI(lifespan=lifespan)


@app.post("/thumbnails", status_code=202)
async def create(thumbnail: Thumbnail, request: Request) -> dict[str, str]:
    """Enqueues the job. It is durable when this responds."""
    handle = await request.app.state.client.submit(MAKE_THUMBNAIL, thumbnail)
    return {"id": handle.id}


@app.get("/thumbnails/{id}")
async def state(id: str, request: Request) -> dict[str, str]:
    """The state of the job."""
    job = await request.app.state.client.get(id)
    return {"id": job.id, "state": JobState.Name(job.state).removeprefix("JOB_STATE_").lower()}


@app.get("/thumbnails/{id}/result")
async def result(id: str, request: Request) -> Stored:
    """Waits for the result, for at most 20 seconds."""
    stored: Stored = await request.app.state.client.job(MAKE_THUMBNAIL, id).result(timeout=20)
    return stored


@app.exception_handler(ApiError)
async def api_error(_: Request, error: ApiError) -> JSONResponse:
    status = {"JOB_NOT_FOUND": 404, "INVALID_FIELD": 400}.get(error.reason, 502)
    content: dict[str, Any] = {"reason": error.reason, "message": str(error)}
    return JSONResponse(content, status)


@app.exception_handler(JobNotSucceededError)
async def not_succeeded(_: Request, error: JobNotSucceededError) -> JSONResponse:
    return JSONResponse({"reason": "JOB_NOT_SUCCEEDED", "message": str(error)}, 409)
