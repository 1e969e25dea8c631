//! The events that the engine reports for metrics and traces.

use std::time::Duration;

use sentinel_domain::{Job, Millis};

/// A receiver of engine events. Every method runs on the path of a job and must not block.
pub trait Observer: Send + Sync + 'static {
    /// A job was enqueued.
    fn enqueued(&self, _job: &Job) {}
    /// A job was assigned to a worker.
    fn started(&self, _job: &Job, _now: Millis) {}
    /// The end of an attempt was committed; `job` is the job after it.
    fn attempt_finished(&self, _before: &Job, _job: &Job) {}
    /// A report was answered: `recorded`, `duplicate`, `fenced` or `retry_later`.
    fn report_verdict(&self, _verdict: &'static str) {}
    /// A worker acknowledged a cancel.
    fn cancel_acknowledged(&self, _latency_ms: Millis) {}
    /// A commit request was applied.
    fn committed(&self, _took: Duration, _transactions: usize, _claimed: usize) {}
    /// A lease ended because its session was lost.
    fn lease_lost(&self, _job: &Job) {}
    /// A watch was opened (+1) or closed (-1).
    fn watches(&self, _change: i64) {}
    /// A watch had a gap.
    fn watch_gap(&self) {}
    /// The lag of the ledger behind the journal.
    fn ledger_lag(&self, _entries: u64, _lag_ms: Millis) {}
    /// Retention removed terminal jobs from the history, by `age` or by `count`.
    fn retention_removed(&self, _cause: &'static str, _jobs: u64) {}
    /// An enqueue was refused with OVERLOADED.
    fn overloaded(&self) {}
}

/// An observer that ignores every event.
pub struct NoObserver;

impl Observer for NoObserver {}
