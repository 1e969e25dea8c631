//! Exports the events of the engine as metrics and as one span per attempt.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use opentelemetry::global::BoxedTracer;
use sentinel_domain::{Job, Millis, State};
use sentinel_engine::Observer;

use crate::metrics::Metrics;
use crate::telemetry::span::{JobSpan, record_process};

/// An [`Observer`] that records metrics and spans.
pub(crate) struct MetricsObserver {
    metrics: Metrics,
    open_watches: AtomicI64,
    /// `None` if traces are disabled.
    tracer: Option<BoxedTracer>,
}

impl MetricsObserver {
    /// Records metrics in `metrics`, and spans if `has_traces` is set.
    pub(crate) fn new(metrics: Metrics, has_traces: bool) -> Self {
        let tracer = has_traces.then(|| opentelemetry::global::tracer("sentinel"));
        Self { metrics, open_watches: AtomicI64::new(0), tracer }
    }
}

/// Returns the time between two instants, or 0 if the clock was set back between them.
fn elapsed(from: Millis, to: Millis) -> Duration {
    Duration::from_millis(u64::try_from(to - from).unwrap_or(0))
}

fn system_time(at: Millis) -> SystemTime {
    UNIX_EPOCH + elapsed(0, at)
}

impl Observer for MetricsObserver {
    fn enqueued(&self, job: &Job) {
        self.metrics.enqueued(&job.spec.queue, &job.spec.kind, 1);
    }

    fn started(&self, job: &Job, now: Millis) {
        self.metrics.queue_wait(&job.spec.queue, elapsed(job.status.ready_at, now));
    }

    fn attempt_finished(&self, before: &Job, job: &Job) {
        let (spec, status) = (&job.spec, &job.status);
        if let Some(started_at) = status.started_at {
            let ran = elapsed(started_at, status.updated_at);
            self.metrics.run_duration(&spec.queue, &spec.kind, ran);
        }
        let outcome = match status.state {
            State::Succeeded => "succeeded",
            State::Failed => "failed",
            State::Cancelled => "cancelled",
            State::Expired => "expired",
            State::Scheduled | State::Blocked | State::Ready | State::Running => "",
        };
        if !outcome.is_empty() {
            self.metrics.finished(&spec.queue, &spec.kind, outcome);
        }
        if let (Some(tracer), Some(traceparent)) = (&self.tracer, spec.traceparent.as_deref()) {
            let id = job.id.to_string();
            let span = JobSpan { queue: &spec.queue, kind: &spec.kind, job_id: &id };
            let times = (
                system_time(status.started_at.unwrap_or(spec.created_at)),
                system_time(status.updated_at),
            );
            record_process(tracer, span, before.status.attempt, times, traceparent);
        }
    }

    fn report_verdict(&self, verdict: &'static str) {
        self.metrics.report_verdict(verdict);
    }

    fn cancel_acknowledged(&self, latency_ms: Millis) {
        self.metrics.cancel_latency(elapsed(0, latency_ms));
    }

    fn committed(&self, took: Duration, groups: usize, claimed: usize) {
        self.metrics.journal_commit(took, groups, claimed);
    }

    fn lease_lost(&self, _job: &Job) {
        self.metrics.leases_expired(1);
    }

    fn watches(&self, change: i64) {
        let open = self.open_watches.fetch_add(change, Ordering::Relaxed) + change;
        self.metrics.set_watch_streams(usize::try_from(open).unwrap_or(0));
    }

    fn watch_gap(&self) {
        self.metrics.watch_gap("gap");
    }

    fn ledger_lag(&self, _entries: u64, lag_ms: Millis) {
        self.metrics.set_ledger_lag(elapsed(0, lag_ms));
    }

    fn retention_removed(&self, why: &'static str, jobs: u64) {
        self.metrics.history_removed(why, jobs);
    }

    fn overloaded(&self) {
        self.metrics.shed("Enqueue", "OVERLOADED");
    }
}
