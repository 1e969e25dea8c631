"""A side effect that an attempt which was declared lost must not repeat: the store keeps the newest
fence of each job and refuses older ones. `python side_effects.py SERVER STORE INSTANCE` is a worker for
jobs of the kind `example.set_price`."""

import asyncio
import fcntl
import sys
from pathlib import Path
from typing import Any

from sentinel_client import HandlerError, Job, Worker

server, store, instance = sys.argv[1], Path(sys.argv[2]), sys.argv[3]


def set(job: str, price: dict[str, Any], epoch: int) -> bool:
    """`UPDATE prices SET cents = ?, epoch = ? WHERE job = ? AND epoch <= ?`, in a folder with a file for
    each job."""
    with (store / job).open("a+") as row:
        fcntl.flock(row, fcntl.LOCK_EX)
        row.seek(0)
        known = int((row.read() or "0").split(" ")[0])
        if known > epoch:
            return False
        row.truncate(0)
        row.write(f"{epoch} {price['item']} {price['cents']}")
        return True


async def set_price(job: Job) -> str:
    price = job.json()
    print(f"started {job.fence}", flush=True)
    job.progress(0, 1, "preparing the price")
    await asyncio.sleep(price["takes_ms"] / 1000)
    # job/run/attempt/epoch: the epoch rises with each lease of the job.
    epoch = int(job.fence.rsplit("/", 1)[1])
    # What was done before a break is not done again.
    if not job.last_checkpoint:
        if not set(job.id, price, epoch):
            print(f"refused {job.fence}", flush=True)
            raise HandlerError("a newer attempt was here", retryable=False)
        print(f"set {job.fence}", flush=True)
        await job.checkpoint("set")
    return f"{price['item']} costs {price['cents']}"


asyncio.run(Worker(server, instance=instance, handlers={"example.set_price": set_price}).run())
