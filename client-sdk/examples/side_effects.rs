//! A guarded side effect: the database stores the newest fencing token of each job and refuses
//! writes with an older one, so an attempt that lost its lease cannot overwrite the result of a
//! newer one.
//!
//! `side_effects [SERVER]` runs a worker and one job. `side_effects SERVER STORE INSTANCE` runs a
//! worker that shares its store with other workers. To see the guard: stop a worker (SIGSTOP)
//! during a job for longer than `session_ttl`, continue it (SIGCONT), and read its output.

use std::fs::OpenOptions;
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use sentinel_client::worker::{HandlerError, JobContext, Worker};
use sentinel_client::{Client, DEFAULT_ENDPOINT, Job};
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

#[derive(Serialize, Deserialize)]
struct SetPrice {
    item: String,
    cents: u64,
    /// How long the handler works before the side effect.
    #[serde(default)]
    takes_ms: u64,
}

impl Job for SetPrice {
    const KIND: &'static str = "example.set_price";
    type Result = String;
}

/// Stands for a database table: a directory with one file (row) per job, locked during updates.
#[derive(Clone)]
struct PriceTable(PathBuf);

impl PriceTable {
    /// `UPDATE prices SET cents = ?, epoch = ? WHERE job = ? AND epoch <= ?`
    ///
    /// Returns `false` when the row has a newer epoch.
    fn update(&self, job: &str, price: &SetPrice, epoch: u64) -> io::Result<bool> {
        let mut options = OpenOptions::new();
        let mut row = options.read(true).write(true).create(true).open(self.0.join(job))?;
        row.lock()?;
        let mut text = String::new();
        row.read_to_string(&mut text)?;
        let newest = text.split(' ').next().and_then(|epoch| epoch.parse().ok()).unwrap_or(0);
        if newest > epoch {
            return Ok(false);
        }
        row.set_len(0)?;
        row.rewind()?;
        write!(row, "{epoch} {} {}", price.item, price.cents)?;
        Ok(true)
    }
}

async fn set_price(
    job: JobContext,
    price: SetPrice,
    prices: PriceTable,
) -> Result<String, HandlerError> {
    // job/run/attempt/epoch: the epoch increases with each lease of the job.
    let token = job.fencing_token();
    println!("started {token}");
    job.progress(0, 1, "preparing the price");
    tokio::time::sleep(Duration::from_millis(price.takes_ms)).await;
    let epoch: u64 = token.rsplit('/').next().and_then(|text| text.parse().ok()).unwrap_or(0);
    // The checkpoint of an earlier attempt shows that the price is already set.
    if job.last_checkpoint().is_empty() {
        let updated = prices.update(job.job_id(), &price, epoch);
        if !updated.map_err(|error| HandlerError::retryable(error.to_string()))? {
            println!("refused {token}");
            return Err(HandlerError::non_retryable("a newer attempt has set the price"));
        }
        println!("set {token}");
        job.checkpoint("set").await?;
    }
    Ok(format!("{} costs {}", price.item, price.cents))
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.as_slice() {
        [server, store, instance] => {
            let shutdown = async { tokio::signal::ctrl_c().await.unwrap_or_default() };
            run_worker(server, Path::new(store), instance, shutdown).await?;
        }
        _ => {
            let server = args.first().map_or(DEFAULT_ENDPOINT, String::as_str);
            println!("{}", run(server).await?);
        }
    }
    Ok(())
}

async fn run_worker(
    server: &str,
    store: &Path,
    instance: &str,
    shutdown: impl Future<Output = ()>,
) -> anyhow::Result<()> {
    let prices = PriceTable(store.to_owned());
    let worker = Worker::builder(server)
        .queue(SetPrice::QUEUE)
        .instance(instance)
        .job(move |job, price| set_price(job, price, prices.clone()))
        .build()?;
    Ok(worker.run(shutdown).await?)
}

/// Runs a worker and one job; returns the result of the job.
pub(crate) async fn run(server: &str) -> anyhow::Result<String> {
    let store = std::env::temp_dir().join(format!("prices-{}", std::process::id()));
    std::fs::create_dir_all(&store)?;
    let (shutdown, shutdown_requested) = oneshot::channel::<()>();
    let worker = run_worker(server, &store, "example", async {
        let _ = shutdown_requested.await;
    });
    let (worker_result, result) = tokio::join!(worker, async {
        let result = enqueue(server).await;
        drop(shutdown);
        result
    });
    std::fs::remove_dir_all(&store)?;
    worker_result?;
    result
}

async fn enqueue(server: &str) -> anyhow::Result<String> {
    let client = Client::connect(server).await.context("start a server with `cargo xtask dev`")?;
    let price = SetPrice { item: "tea".to_owned(), cents: 350, takes_ms: 0 };
    let job = client.submit_with(&price, |job| job.unique_key("price of tea")).await?;
    Ok(job.result().await?)
}
