/**
 * A side effect that an attempt which was declared lost must not repeat: the store keeps the newest
 * fence of each job and refuses older ones. `node side-effects.mjs SERVER STORE INSTANCE` is a worker
 * for jobs of the kind `example.set_price`.
 */
import { mkdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { HandlerError, Worker } from "@sentinel/client";

const [server, store, instance] = process.argv.slice(2);

/** `UPDATE prices SET cents = ?, epoch = ? WHERE job = ? AND epoch <= ?`, in a folder with a file for each job. */
async function set(job, price, epoch) {
  const [row, lock] = [join(store, job), join(store, `${job}.lock`)];
  for (;;) {
    try {
      mkdirSync(lock);
      break;
    } catch (error) {
      if (error.code !== "EEXIST") throw error;
      await pause(10);
    }
  }
  try {
    const known = Number(readFileSync(row, { encoding: "utf8", flag: "a+" }).split(" ")[0]);
    if (known > epoch) return false;
    writeFileSync(row, `${epoch} ${price.item} ${price.cents}`);
    return true;
  } finally {
    rmdirSync(lock);
  }
}

async function setPrice(job) {
  const price = job.json();
  console.log(`started ${job.fence}`);
  job.progress(0, 1, "preparing the price");
  await pause(price.takes_ms);
  // job/run/attempt/epoch: the epoch rises with each lease of the job.
  const epoch = Number(job.fence.split("/").at(-1));
  // What was done before a break is not done again.
  if (job.lastCheckpoint.length === 0) {
    if (!(await set(job.id, price, epoch))) {
      console.log(`refused ${job.fence}`);
      throw new HandlerError("a newer attempt was here", { retryable: false });
    }
    console.log(`set ${job.fence}`);
    await job.checkpoint("set");
  }
  return `${price.item} costs ${price.cents}`;
}

await new Worker({ endpoint: server, instance, handlers: { "example.set_price": setPrice } }).run();
