"""The worker. Start it with `python -m thumbnail_worker`, as its own process, so that jobs and requests do not slow
each other down. SIGTERM drains it."""

import asyncio
import logging
import os

from thumbnail_jobs import MAKE_THUMBNAIL, Stored, Thumbnail

from sentinel_client import HandlerError, JobContext, Worker


@MAKE_THUMBNAIL.handler
async def make_thumbnail(thumbnail: Thumbnail, job: JobContext) -> Stored:
    if not thumbnail.image.endswith((".png", ".jpg")):
        # Another attempt would fail in the same way.
        raise HandlerError(f"{thumbnail.image} is not an image", code="NOT_AN_IMAGE", retryable=False)
    for done in range(1, 4):
        await asyncio.sleep(0.01)
        job.progress(done, 3)
    return Stored(path=f"thumbnails/{thumbnail.width}/{thumbnail.image}", width=thumbnail.width)


def main() -> None:
    logging.basicConfig(level=logging.INFO)
    server = os.environ.get("SENTINEL_SERVER", "http://127.0.0.1:7070")
    worker = Worker(server, handlers=[make_thumbnail], credential=os.environ.get("SENTINEL_CREDENTIAL"))
    asyncio.run(worker.run())


if __name__ == "__main__":
    main()
