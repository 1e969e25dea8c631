//! The rows. Each starts the processes it needs and notes its figures in the round.

mod burn;
mod calls;
mod ingest;
mod latency;
mod steady;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use sentinel_proto::jobs::v1::{CountsRequest, JobState};

use crate::args::{Args, Row};
use crate::load::{self, Batch};
use crate::process::{EchoServer, Server};
use crate::stores::Stores;

/// The figures of one round by the key of their measure.
pub(crate) type Round = BTreeMap<&'static str, f64>;

/// Without progress for so long a row is given up.
const STALL: Duration = Duration::from_secs(60);

/// What all rows share.
pub(crate) struct Bench {
    pub(crate) args: Args,
    pub(crate) echo: EchoServer,
    pub(crate) data_parent: PathBuf,
    pub(crate) round: Round,
}

impl Bench {
    pub(crate) async fn run(&mut self, row: Row) -> Result<()> {
        let ran = match row {
            Row::Ceiling => calls::ceiling(self).await,
            Row::Enqueue => calls::enqueue(self).await,
            Row::Batch => calls::batch(self).await,
            Row::Ingest => ingest::ingest(self).await,
            Row::Burn => burn::burn(self).await,
            Row::Due => burn::due(self).await,
            Row::Start => latency::start(self).await,
            Row::Cancel => latency::cancel(self).await,
            Row::Steady => steady::steady(self).await,
            Row::Memory => burn::memory(self).await,
            Row::Restart => burn::restart(self).await,
        };
        ran.with_context(|| format!("row {}", row.name()))
    }

    fn note(&mut self, key: &'static str, value: f64) {
        self.round.insert(key, value);
    }

    fn batch(&self, server: &Server) -> Batch {
        Batch::new(server.jobs.clone(), self.args.labels)
    }

    /// Stores the jobs of a row.
    async fn preload(&self, server: &Server) -> Result<u64> {
        load::preload(&self.batch(server), self.args.jobs()).await
    }

    async fn server(&self) -> Result<(Stores, Server)> {
        let stores = Stores::start(self.args.store, &self.data_parent)?;
        let server = Server::start(&self.args, &stores).await?;
        Ok((stores, server))
    }
}

/// Waits until the server has recorded `count` successes. The poll costs a scrape each 20 ms.
async fn until_recorded(server: &Server, count: u64) -> Result<()> {
    let mut last = (0, Instant::now());
    loop {
        let recorded = server.recorded().await?;
        if recorded >= count {
            return Ok(());
        }
        if recorded > last.0 {
            last = (recorded, Instant::now());
        }
        if last.1.elapsed() > STALL {
            bail!("{recorded} of {count} jobs were recorded, and no more for {STALL:?}");
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Waits until the ledger has `count` jobs in a state.
async fn until_in_ledger(server: &Server, state: JobState, count: u64) -> Result<()> {
    let mut last = (0, Instant::now());
    loop {
        // The lag is a number in memory; only when it is gone are the rows counted.
        if server.ledger_lag_s().await? <= 0.0 {
            let mut jobs = server.jobs.clone();
            let counts = jobs.counts(CountsRequest::default()).await?.into_inner();
            let states = counts.queues.iter().flat_map(|queue| &queue.states);
            let found = states.filter(|s| s.state() == state).map(|s| s.count).sum::<u64>();
            if found >= count {
                return Ok(());
            }
            if found > last.0 {
                last = (found, Instant::now());
            }
        } else {
            last.1 = Instant::now();
        }
        if last.1.elapsed() > STALL {
            bail!("the ledger has {} of {count} jobs, and no more for {STALL:?}", last.0);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
