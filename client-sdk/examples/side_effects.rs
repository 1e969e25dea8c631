//! A side effect that an attempt which was declared lost must not repeat: the store keeps the
//! newest fence of each job and refuses older ones.
//!
//! `side_effects [SERVER]` runs a worker and one job. `side_effects SERVER STORE INSTANCE` is a
//! worker that shares its store with others: stop one (SIGSTOP) in the middle of a job for longer
//! than `session_ttl`, and see what it says when it goes on (SIGCONT).

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
    /// What the work before the side effect takes.
    #[serde(default)]
    takes_ms: u64,
}

impl Job for SetPrice {
    const KIND: &'static str = "example.set_price";
    type Result = String;
}

/// Stands for a database: a folder with a row for each job, locked while it is changed.
#[derive(Clone)]
struct Prices(PathBuf);

impl Prices {
    /// `UPDATE prices SET cents = ?, epoch = ? WHERE job = ? AND epoch <= ?`
    fn set(&self, job: &str, price: &SetPrice, epoch: u64) -> io::Result<bool> {
        let mut open = OpenOptions::new();
        let mut row = open.read(true).write(true).create(true).open(self.0.join(job))?;
        row.lock()?;
        let mut known = String::new();
        row.read_to_string(&mut known)?;
        let newest = known.split(' ').next().and_then(|epoch| epoch.parse().ok()).unwrap_or(0);
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
    prices: Prices,
) -> Result<String, HandlerError> {
    // job/run/attempt/epoch: the epoch rises with each lease of the job.
    let fence = job.fencing_token();
    println!("begins {fence}");
    tokio::time::sleep(Duration::from_millis(price.takes_ms)).await;
    let epoch: u64 = fence.rsplit('/').next().and_then(|text| text.parse().ok()).unwrap_or(0);
    // What was done before a break is not done again.
    if job.last_checkpoint().is_empty() {
        let is_set = prices.set(job.job_id(), &price, epoch);
        if !is_set.map_err(|error| HandlerError::retryable(error.to_string()))? {
            println!("refused {fence}");
            return Err(HandlerError::non_retryable("a newer attempt was here"));
        }
        println!("set {fence}");
        job.checkpoint("set").await?;
    }
    Ok(format!("{} costs {}", price.item, price.cents))
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.as_slice() {
        [server, store, instance] => {
            let until = async { tokio::signal::ctrl_c().await.unwrap_or_default() };
            work(server, Path::new(store), instance, until).await?;
        }
        _ => {
            let server = args.first().map_or(DEFAULT_ENDPOINT, String::as_str);
            println!("{}", run(server).await?);
        }
    }
    Ok(())
}

async fn work(
    server: &str,
    store: &Path,
    instance: &str,
    until: impl Future<Output = ()>,
) -> anyhow::Result<()> {
    let prices = Prices(store.to_owned());
    let worker = Worker::builder(server)
        .queue(SetPrice::QUEUE)
        .instance(instance)
        .job(move |job, price| set_price(job, price, prices.clone()))
        .build()?;
    Ok(worker.run(until).await?)
}

/// Sets a price; answers what the handler says.
pub(crate) async fn run(server: &str) -> anyhow::Result<String> {
    let store = std::env::temp_dir().join(format!("prices-{}", std::process::id()));
    std::fs::create_dir_all(&store)?;
    let (stop, stopped) = oneshot::channel::<()>();
    let working = work(server, &store, "example", async {
        let _ = stopped.await;
    });
    let (ended, said) = tokio::join!(working, async {
        let said = enqueue(server).await;
        drop(stop);
        said
    });
    std::fs::remove_dir_all(&store)?;
    ended?;
    said
}

async fn enqueue(server: &str) -> anyhow::Result<String> {
    let client = Client::connect(server).await.context("start a server with `cargo xtask dev`")?;
    let price = SetPrice { item: "tea".to_owned(), cents: 350, takes_ms: 0 };
    let job = client.submit_with(&price, |job| job.unique_key("price of tea")).await?;
    Ok(job.result().await?)
}
