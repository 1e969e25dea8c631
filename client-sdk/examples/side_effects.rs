//! A side effect that must not be overtaken by an attempt that was declared lost: the store keeps
//! the newest fence of each job and refuses older ones.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context as _;
use sentinel_client::worker::{Context, HandlerError, Worker};
use sentinel_client::{Client, DEFAULT_ENDPOINT, Job};
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

#[derive(Serialize, Deserialize)]
struct SetPrice {
    item: String,
    cents: u64,
}

impl Job for SetPrice {
    const KIND: &'static str = "example.set_price";
    type Output = String;
}

/// Stands for a table with a column for the fence.
#[derive(Clone, Default)]
struct Prices(Arc<Mutex<BTreeMap<String, (u64, u64)>>>);

impl Prices {
    /// `UPDATE prices SET cents = ?, epoch = ? WHERE item = ? AND epoch <= ?`
    fn set(&self, item: &str, cents: u64, epoch: u64) -> bool {
        let mut prices = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = prices.entry(item.to_owned()).or_default();
        let is_newest = known.1 <= epoch;
        if is_newest {
            *known = (cents, epoch);
        }
        is_newest
    }
}

async fn set_price(job: Context, price: SetPrice, prices: Prices) -> Result<String, HandlerError> {
    // job/run/attempt/epoch: the epoch rises with each lease of the job.
    let fence = job.fence();
    let epoch: u64 = fence.rsplit('/').next().and_then(|text| text.parse().ok()).unwrap_or(0);
    // What was done before a break is not done again.
    if job.last_checkpoint().is_empty() {
        if !prices.set(&price.item, price.cents, epoch) {
            return Err(HandlerError::fatal("a newer attempt was here"));
        }
        job.checkpoint("set").await?;
    }
    Ok(format!("{} costs {}", price.item, price.cents))
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let server = std::env::args().nth(1).unwrap_or_else(|| DEFAULT_ENDPOINT.to_owned());
    println!("{}", run(&server).await?);
    Ok(())
}

/// Sets a price; answers what the handler says.
pub(crate) async fn run(server: &str) -> anyhow::Result<String> {
    let prices = Prices::default();
    let kept = prices.clone();
    let worker = Worker::builder(server)
        .queue(SetPrice::QUEUE)
        .job(move |job, price| set_price(job, price, kept.clone()))
        .build()?;
    let (stop, stopped) = oneshot::channel::<()>();
    let working = worker.run(async {
        let _ = stopped.await;
    });
    let (ended, said) = tokio::join!(working, async {
        let said = enqueue(server).await;
        drop(stop);
        said
    });
    ended?;
    let said = said?;
    anyhow::ensure!(!prices.set("tea", 1, 0), "an older fence must not win");
    Ok(said)
}

async fn enqueue(server: &str) -> anyhow::Result<String> {
    let client = Client::connect(server).await.context("start a server with `cargo xtask dev`")?;
    let price = SetPrice { item: "tea".to_owned(), cents: 350 };
    let job = client.submit_as(&price, |job| job.unique_key("price of tea")).await?;
    Ok(job.output().await?)
}
