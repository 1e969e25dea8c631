//! What the engine tells about itself, for metrics and traces.

use std::time::Duration;

use sentinel_domain::{Job, Millis};

/// Called in the course of the work: must not block.
pub trait Observer: Send + Sync + 'static {
    /// A job was accepted.
    fn enqueued(&self, _job: &Job) {}
    /// A job was handed to a worker.
    fn started(&self, _job: &Job, _now: Millis) {}
    /// The end of an attempt was recorded; `job` is the record after it.
    fn recorded(&self, _before: &Job, _job: &Job) {}
    /// A verdict on a report: `recorded`, `duplicate`, `fenced` or `retry_later`.
    fn verdict(&self, _verdict: &'static str) {}
    /// A cancel reached its handler.
    fn cancel_acknowledged(&self, _latency_ms: Millis) {}
    /// One group commit.
    fn committed(&self, _took: Duration, _groups: usize, _claimed: usize) {}
    /// A lease ended because its session was lost.
    fn lease_lost(&self, _job: &Job) {}
    /// A watch was opened (+1) or closed (-1).
    fn watches(&self, _change: i64) {}
    /// A watch had a gap.
    fn watch_gap(&self) {}
    /// How far the ledger is behind the journal.
    fn ledger_lag(&self, _entries: u64, _lag_ms: Millis) {}
    /// The history let go of finished jobs, by `age` or by `count`.
    fn forgotten(&self, _why: &'static str, _jobs: u64) {}
    /// An enqueue was turned away because too much waits to be committed.
    fn shed(&self) {}
}

/// Nobody listens.
pub struct NoObserver;

impl Observer for NoObserver {}
