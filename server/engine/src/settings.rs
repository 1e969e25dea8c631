//! What an operator can set about the engine.

/// Durations in milliseconds.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Largest payload, within `limits::PAYLOAD_MAX_BYTES`.
    pub payload_max_bytes: u64,
    /// The first job of a queue creates it.
    pub auto_create_queues: bool,
    /// How long leases live without any sign of their worker.
    pub session_ttl_ms: i64,
    /// How often worker and server ping.
    pub ping_ms: i64,
    /// An assignment that was not received by then goes back.
    pub receive_timeout_ms: i64,
    /// How long a session may stay away after its stream ended without Bye.
    pub lost_grace_ms: i64,
    /// Finals stay hot for so long at least.
    pub finals_hot_ms: i64,
    /// A watch can resume for so long at least.
    pub watch_window_ms: i64,
    /// How long the history keeps SUCCEEDED jobs.
    pub keep_succeeded_ms: i64,
    /// How long it keeps FAILED, CANCELLED and EXPIRED jobs.
    pub keep_unsuccessful_ms: i64,
    /// Finished jobs of one queue that it keeps at the most.
    pub keep_finished_max: u64,
    /// How long the ledger waits for more changes before it writes. More is cheaper: the
    /// changes of one job collapse.
    pub project_linger_ms: u64,
    /// Changes that may wait for the reader of a watch; beyond, it is told of a gap.
    pub watch_ring: usize,
    /// How safe changes are before they are acknowledged, of jobs that do not say it.
    pub ack: sentinel_domain::Ack,
    /// The longest that a change waits for the ledger to have it. Below the deadline that clients
    /// set by default, 30 s: who is cut off by that is not told why.
    pub ledger_ack_ms: u64,
    /// The hot store has replicas, so that jobs may ask for [`sentinel_domain::Ack::Replicated`].
    pub has_replicas: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            payload_max_bytes: sentinel_domain::limits::PAYLOAD_BYTES,
            auto_create_queues: false,
            session_ttl_ms: 15_000,
            ping_ms: 2_000,
            receive_timeout_ms: 2_000,
            lost_grace_ms: 1_000,
            finals_hot_ms: 60_000,
            watch_window_ms: 600_000,
            keep_succeeded_ms: sentinel_domain::limits::KEEP_SUCCEEDED_MS.cast_signed(),
            keep_unsuccessful_ms: sentinel_domain::limits::KEEP_UNSUCCESSFUL_MS.cast_signed(),
            keep_finished_max: sentinel_domain::limits::KEEP_FINISHED_MAX,
            project_linger_ms: 100,
            watch_ring: 4_096,
            ack: sentinel_domain::Ack::Store,
            ledger_ack_ms: 10_000,
            has_replicas: false,
        }
    }
}
