/**
 * A guarded side effect: the database stores the newest fencing token of each job and refuses writes with an older
 * one, so an attempt that lost its lease cannot overwrite the result of a newer one.
 * `node side-effects.mjs SERVER STORE INSTANCE` runs a worker for jobs of the kind `example.set_price`.
 */
import { mkdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { HandlerError, Worker } from "@sentinel/client";

const [server, store, instance] = process.argv.slice(2);

/**
 * `UPDATE prices SET cents = ?, epoch = ? WHERE job = ? AND epoch <= ?`, in a directory with one file (row) per job.
 * Returns false when the row has a newer epoch.
 */
async function updatePrice(job, price, epoch) {
  const [row, lock] = [join(store, job), join(store, `${job}.lock`)];
  for (;;) {
    try {
      mkdirSync(lock);
      break;
    } catch (error) {
      if (error.code !== "EEXIST") throw error;
      await sleep(10);
    }
  }
  try {
    const newest = Number(readFileSync(row, { encoding: "utf8", flag: "a+" }).split(" ")[0]);
    if (newest > epoch) return false;
    writeFileSync(row, `${epoch} ${price.item} ${price.cents}`);
    return true;
  } finally {
    rmdirSync(lock);
  }
}

async function setPrice(job) {
  const price = job.payloadJson();
  console.log(`started ${job.fencingToken}`);
  job.progress(0, 1, "preparing the price");
  await sleep(price.takes_ms);
  // job/run/attempt/epoch: the epoch increases with each lease of the job.
  const epoch = Number(job.fencingToken.split("/").at(-1));
  // The checkpoint of an earlier attempt shows that the price is already set.
  if (job.lastCheckpoint.length === 0) {
    if (!(await updatePrice(job.jobId, price, epoch))) {
      console.log(`refused ${job.fencingToken}`);
      throw new HandlerError("a newer attempt has set the price", { retryable: false });
    }
    console.log(`set ${job.fencingToken}`);
    await job.checkpoint("set");
  }
  return `${price.item} costs ${price.cents}`;
}

await new Worker({ endpoint: server, instance, handlers: { "example.set_price": setPrice } }).run();
