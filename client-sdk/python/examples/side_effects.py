"""A guarded side effect: the database stores the newest fencing token of each job and refuses writes with an
older one, so an attempt that lost its lease cannot overwrite the result of a newer one.
`python side_effects.py SERVER STORE INSTANCE` runs a worker for jobs of the kind `example.set_price`."""

import asyncio
import fcntl
import sys
from pathlib import Path
from typing import Any

from sentinel_client import HandlerError, JobContext, Worker

server, store, instance = sys.argv[1], Path(sys.argv[2]), sys.argv[3]


def update_price(job: str, price: dict[str, Any], epoch: int) -> bool:
    """`UPDATE prices SET cents = ?, epoch = ? WHERE job = ? AND epoch <= ?`, in a directory with one file (row)
    per job. Returns `False` when the row has a newer epoch."""
    with (store / job).open("a+") as row:
        fcntl.flock(row, fcntl.LOCK_EX)
        row.seek(0)
        newest = int((row.read() or "0").split(" ")[0])
        if newest > epoch:
            return False
        row.truncate(0)
        row.write(f"{epoch} {price['item']} {price['cents']}")
        return True


async def set_price(job: JobContext) -> str:
    price = job.payload_json()
    print(f"started {job.fencing_token}", flush=True)
    job.progress(0, 1, "preparing the price")
    await asyncio.sleep(price["takes_ms"] / 1000)
    # job/run/attempt/epoch: the epoch increases with each lease of the job.
    epoch = int(job.fencing_token.rsplit("/", 1)[1])
    # The checkpoint of an earlier attempt shows that the price is already set.
    if not job.last_checkpoint:
        if not update_price(job.job_id, price, epoch):
            print(f"refused {job.fencing_token}", flush=True)
            raise HandlerError("a newer attempt has set the price", retryable=False)
        print(f"set {job.fencing_token}", flush=True)
        await job.checkpoint("set")
    return f"{price['item']} costs {price['cents']}"


asyncio.run(Worker(server, instance=instance, handlers={"example.set_price": set_price}).run())
