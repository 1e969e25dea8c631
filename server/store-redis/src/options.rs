//! The settings of a store.

use std::time::Duration;

use sentinel_domain::Millis;
use sentinel_store::Position;

/// How commits wait for replicas.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplicationOptions {
    /// The number of replicas that must have a change; at least 1.
    pub min_replicas: u32,
    /// The maximum wait for the replicas. Less than `response_timeout`.
    pub timeout: Duration,
    /// Advance the head, which the projector and watchers follow, only to replicated changes. After
    /// a failover the new primary is then not behind what was shown. All servers of a cluster must
    /// use the same value.
    pub show_only_replicated: bool,
}

impl ReplicationOptions {
    /// Returns the WAIT command for everything that its connection wrote before.
    pub(crate) fn wait(&self, timeout: Duration) -> redis::Cmd {
        let mut wait = redis::cmd("WAIT");
        // 0 would mean no timeout.
        wait.arg(self.min_replicas).arg(timeout.as_millis().max(1) as u64);
        wait
    }
}

/// The settings of a store.
#[derive(Clone, Debug)]
pub struct OpenOptions {
    /// The URL; `address.rs` lists the supported forms.
    pub url: String,
    /// The prefix of all key names. It separates two clusters that use the same Redis.
    pub key_prefix: String,
    /// The current time, which becomes the epoch of a new store.
    pub now: Millis,
    /// The checkpoint of the ledger. A store that is behind it lost changes.
    pub min_position: Option<Position>,
    /// The timeout for connecting.
    pub connect_timeout: Duration,
    /// The timeout for a response.
    pub response_timeout: Duration,
    /// The maximum number of connections for reads.
    pub pool_size: u32,
    /// The maximum size of the journal. Beyond it projected entries are trimmed before their time.
    pub journal_max_bytes: u64,
    /// The percentage of `maxmemory` in use at which new jobs are refused.
    pub shed_at_percent: u64,
    /// The settings of [`sentinel_store::Store::wait_replicated`].
    pub replication: ReplicationOptions,
}

impl OpenOptions {
    /// Returns the default settings.
    pub fn new(url: impl Into<String>, now: Millis) -> Self {
        Self {
            url: url.into(),
            key_prefix: "sentinel".to_owned(),
            now,
            min_position: None,
            connect_timeout: Duration::from_secs(2),
            response_timeout: Duration::from_secs(5),
            pool_size: 8,
            journal_max_bytes: 1 << 30,
            shed_at_percent: 85,
            replication: ReplicationOptions {
                min_replicas: 1,
                timeout: Duration::from_secs(2),
                show_only_replicated: false,
            },
        }
    }
}
