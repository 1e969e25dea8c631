//! What the benchmark can be told, with a help text that says what each number counts.

use std::path::PathBuf;

use clap::{Parser, ValueEnum};

const ABOUT: &str = "\
Measures a Sentinel server, on the embedded store unless --store says another, beside
ceilings of the same run.

The rounds are interleaved: each round runs every row once, in order, against fresh
release binaries (sentinel, sentinel-worker, found beside this one) in a temporary data
directory. The table shows the median of the rounds; the raw rounds are in the JSON file.
A share compares a row with its ceiling of the same round, so that it survives a noisy
machine better than the rate does.";

const ROWS: &str = "\
Rows and what they count:
  ceiling  The same messages to a bare tonic server (this program again, --echo-server):
           one call at a time, 64 in flight, 100 jobs per call. And an append of 4 KiB with fdatasync.
  enqueue  Enqueue, one job per call. A job counts when its call returned: it is durable.
  batch    EnqueueBatch of 100 jobs per call, 8 calls in flight. Counted in jobs.
  ingest   8 streams of producers by the SDK, one job per item. An item counts when the server
           has told that it is committed.
  burn     Jobs stored before any worker runs, then one worker process. A job counts when
           the server has recorded its report durably. The ledger's catch-up is apart.
  due      As burn, but the worker waits, and all jobs are due in the same second.
  start    1,000 enqueues a second, open loop: from the call to the start of the handler,
           both in one process, so by one clock.
  cancel   From the Cancel call to the moment when the running handler sees it.
  steady   Enqueue, run and record at the same time. A job counts when it is recorded.
           The load keeps at most 5,000 jobs waiting.
  memory   Resident memory of the server per waiting job, without its payload.
  restart  kill -9 with all jobs waiting, then start until the first answer to a Get.

Examples:
  cargo xtask bench -- --quick
  cargo xtask bench -- --only burn --rounds 3 --jobs 200000
  cargo xtask bench -- --only ceiling --only enqueue --json
  cargo xtask bench -- --store redis --rounds 3";

/// What to measure, and how often.
#[derive(Clone, Debug, Parser)]
#[command(name = "sentinel-bench", version, about = ABOUT, after_help = ROWS)]
pub(crate) struct Args {
    /// Rounds of all rows; the table shows the median [default: 5]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100))]
    pub(crate) rounds: Option<u32>,
    /// Where jobs live while they are in work
    #[arg(long, value_name = "STORE", value_enum, default_value_t = Store::Embedded)]
    pub(crate) store: Store,
    /// One round with short rows and 100,000 jobs
    #[arg(long)]
    pub(crate) quick: bool,
    /// Only this row; repeat it for several
    #[arg(long, value_name = "ROW", value_enum)]
    pub(crate) only: Vec<Row>,
    /// Jobs of burn, due, memory and restart, 1000..1000000 [default: 1000000]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1_000..=1_000_000))]
    pub(crate) jobs: Option<u64>,
    /// Length of the steady row in seconds [default: 20]
    #[arg(long, value_name = "SECS", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub(crate) steady: Option<u64>,
    /// Jobs that the worker process runs at the same time
    #[arg(long, value_name = "N", default_value_t = 4_000,
          value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) concurrency: u32,
    /// Labels per job, 0..16: each is one more row of the ledger
    #[arg(long, value_name = "N", default_value_t = 0,
          value_parser = clap::value_parser!(u32).range(0..=16))]
    pub(crate) labels: u32,
    /// Log filter of the server; spans below it cost nothing
    #[arg(long, value_name = "FILTER", default_value = "warn")]
    pub(crate) log_filter: String,
    /// Parent of the temporary data directories [default: beside this program]
    #[arg(long, value_name = "DIR")]
    pub(crate) data_parent: Option<PathBuf>,
    /// Where the JSON file goes
    #[arg(long, value_name = "DIR", default_value = "bench/results")]
    pub(crate) results: PathBuf,
    /// Print the JSON on stdout in place of the table
    #[arg(long)]
    pub(crate) json: bool,
    /// Serve the echo of the ceiling on this port; for the benchmark's own use
    #[arg(long, value_name = "PORT", hide = true)]
    pub(crate) echo_server: Option<u16>,
}

/// Where jobs live while they are in work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Store {
    /// In the memory of the server, and in its journal
    Embedded,
    /// In a Redis with appendfsync always, and the history in a MariaDB
    Redis,
}

impl Store {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Store::Embedded => "embedded",
            Store::Redis => "redis",
        }
    }

    pub(crate) const fn durability(self) -> &'static str {
        match self {
            Store::Embedded => {
                "every acknowledgement after fdatasync of the journal (SQLite WAL, \
                 synchronous=FULL); ledger in the background"
            }
            Store::Redis => {
                "every acknowledgement after fsync of the append-only file of Redis \
                 (appendfsync always); ledger on MariaDB in the background"
            }
        }
    }
}

/// A part of the benchmark.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Row {
    Ceiling,
    Enqueue,
    Batch,
    Ingest,
    Burn,
    Due,
    Start,
    Cancel,
    Steady,
    Memory,
    Restart,
}

impl Row {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Row::Ceiling => "ceiling",
            Row::Enqueue => "enqueue",
            Row::Batch => "batch",
            Row::Ingest => "ingest",
            Row::Burn => "burn",
            Row::Due => "due",
            Row::Start => "start",
            Row::Cancel => "cancel",
            Row::Steady => "steady",
            Row::Memory => "memory",
            Row::Restart => "restart",
        }
    }
}

impl Args {
    pub(crate) fn rounds(&self) -> u32 {
        self.rounds.unwrap_or(if self.quick { 1 } else { 5 })
    }

    pub(crate) fn jobs(&self) -> u64 {
        self.jobs.unwrap_or(if self.quick { 100_000 } else { 1_000_000 })
    }

    /// How long a row of calls runs.
    pub(crate) fn span(&self) -> std::time::Duration {
        std::time::Duration::from_secs(if self.quick { 2 } else { 5 })
    }

    pub(crate) fn steady(&self) -> std::time::Duration {
        std::time::Duration::from_secs(self.steady.unwrap_or(if self.quick { 5 } else { 20 }))
    }

    /// Enqueues of the start row, at 1,000 a second.
    pub(crate) fn starts(&self) -> u64 {
        if self.quick { 3_000 } else { 10_000 }
    }

    pub(crate) fn wants(&self, row: Row) -> bool {
        self.only.is_empty() || self.only.contains(&row)
    }

    pub(crate) fn rows(&self) -> Vec<Row> {
        Row::value_variants().iter().copied().filter(|row| self.wants(*row)).collect()
    }
}
