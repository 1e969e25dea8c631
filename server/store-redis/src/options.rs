//! How a store is opened.

use std::time::Duration;

use sentinel_domain::Millis;
use sentinel_store::Position;

/// Which replicas have to have a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplicationOptions {
    /// How many of them; at least 1.
    pub min_replicas: u32,
    /// Until those who wait are told that too few have it. Less than `answer_timeout`.
    pub timeout: Duration,
    /// The head moves, and with it what the ledger and watchers are shown, when replicas have
    /// the change and not before: the next primary is not behind what was seen. All servers of
    /// an key_prefix agree on it.
    pub show_only_replicated: bool,
}

impl ReplicationOptions {
    /// WAIT for all that its connection wrote before.
    pub(crate) fn wait(&self, timeout: Duration) -> redis::Cmd {
        let mut wait = redis::cmd("WAIT");
        // 0 would mean for ever.
        wait.arg(self.min_replicas).arg(timeout.as_millis().max(1) as u64);
        wait
    }
}

/// How a store is opened.
#[derive(Clone, Debug)]
pub struct OpenOptions {
    /// See `address.rs` for what is taken.
    pub url: String,
    /// What the names of all keys begin with; two installations in one Redis differ in it.
    pub key_prefix: String,
    /// Becomes the epoch where nothing is there yet.
    pub now: Millis,
    /// How far anybody has seen the journal: a store that is behind was rolled back.
    pub min_position: Option<Position>,
    /// Until a connection stands.
    pub connect_timeout: Duration,
    /// Until an answer is there.
    pub answer_timeout: Duration,
    /// Connections for reads.
    pub pool_size: u32,
    /// Bytes of the journal beyond which entries go that are projected, though they are young.
    pub journal_max_bytes: u64,
    /// How much of `maxmemory` may be in use until new jobs are refused, in percent.
    pub shed_at_percent: u64,
    /// What [`sentinel_store::Store::replicated`] waits for.
    pub replication: ReplicationOptions,
}

impl OpenOptions {
    /// With every default.
    pub fn new(url: impl Into<String>, now: Millis) -> Self {
        Self {
            url: url.into(),
            key_prefix: "sentinel".to_owned(),
            now,
            min_position: None,
            connect_timeout: Duration::from_secs(2),
            answer_timeout: Duration::from_secs(5),
            pool_size: 8,
            journal_max_bytes: 1 << 30,
            shed_at_percent: 85,
            replication: ReplicationOptions { min_replicas: 1, timeout: Duration::from_secs(2), show_only_replicated: false },
        }
    }
}
