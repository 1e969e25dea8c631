//! The settings of an engine.

use sentinel_domain::{Ack, limits};

/// The settings of an engine. Durations are in milliseconds.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// The largest payload in bytes, at most `limits::PAYLOAD_BYTES`.
    pub payload_max_bytes: u64,
    /// The first job of a queue creates the queue.
    pub auto_create_queues: bool,
    /// How long leases live without a heartbeat of their worker.
    pub session_ttl_ms: i64,
    /// The interval of pings between worker and server.
    pub ping_ms: i64,
    /// An assignment that is not acknowledged within this time is handed back.
    pub receive_timeout_ms: i64,
    /// How long a session lives after its stream closed without Bye.
    pub lost_grace_ms: i64,
    /// How long terminal jobs stay in the store, at least.
    pub store_retention_ms: i64,
    /// How long a watch can resume from a cursor, at least.
    pub watch_window_ms: i64,
    /// How long the history keeps SUCCEEDED jobs.
    pub keep_succeeded_ms: i64,
    /// How long the history keeps FAILED, CANCELLED and EXPIRED jobs.
    pub keep_unsuccessful_ms: i64,
    /// The most terminal jobs of one queue that the history keeps.
    pub keep_terminal_max: u64,
    /// How long the projector collects changes before it writes them to the ledger. A longer
    /// time is cheaper, because several changes of one job are written as one.
    pub project_linger_ms: u64,
    /// The most changes that wait for the reader of a watch. Beyond it the watch has a gap.
    pub watch_buffer: usize,
    /// The durability level of jobs that do not set one.
    pub ack: Ack,
    /// How long a change waits for the ledger to record it, at most. It is shorter than the
    /// default deadline of clients (30 s), so that they receive the reason.
    pub ledger_ack_ms: u64,
    /// The store has replicas, so jobs may ask for [`Ack::Replicated`].
    pub has_replicas: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            payload_max_bytes: limits::PAYLOAD_BYTES,
            auto_create_queues: false,
            session_ttl_ms: 15_000,
            ping_ms: 2_000,
            receive_timeout_ms: 2_000,
            lost_grace_ms: 1_000,
            store_retention_ms: 60_000,
            watch_window_ms: 600_000,
            keep_succeeded_ms: limits::SUCCEEDED_RETENTION_MS.cast_signed(),
            keep_unsuccessful_ms: limits::UNSUCCESSFUL_RETENTION_MS.cast_signed(),
            keep_terminal_max: limits::KEEP_TERMINAL_MAX,
            project_linger_ms: 100,
            watch_buffer: 4_096,
            ack: Ack::Store,
            ledger_ack_ms: 10_000,
            has_replicas: false,
        }
    }
}
