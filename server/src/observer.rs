//! What the engine tells, as metrics and as a span per attempt.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use opentelemetry::global::BoxedTracer;
use sentinel_domain::{Job, Millis, State};
use sentinel_engine::Observer;

use crate::metrics::Metrics;
use crate::telemetry::span::{JobSpan, record_process};

/// Tells the metrics and the tracer.
pub(crate) struct MetricsObserver {
    metrics: Metrics,
    watches: AtomicI64,
    /// None where traces are off.
    tracer: Option<BoxedTracer>,
}

impl MetricsObserver {
    /// Into `metrics`, and into traces where they are on.
    pub(crate) fn new(metrics: Metrics, has_traces: bool) -> Self {
        let tracer = has_traces.then(|| opentelemetry::global::tracer("sentinel"));
        Self { metrics, watches: AtomicI64::new(0), tracer }
    }
}

/// Times of two records may be out of order when a clock was: never negative.
fn since(from: Millis, to: Millis) -> Duration {
    Duration::from_millis(u64::try_from(to - from).unwrap_or(0))
}

fn time(at: Millis) -> SystemTime {
    UNIX_EPOCH + since(0, at)
}

impl Observer for MetricsObserver {
    fn enqueued(&self, job: &Job) {
        self.metrics.enqueued(&job.spec.queue, &job.spec.kind, 1);
    }

    fn started(&self, job: &Job, now: Millis) {
        self.metrics.queue_wait(&job.spec.queue, since(job.status.ready_at, now));
    }

    fn recorded(&self, before: &Job, job: &Job) {
        let (spec, status) = (&job.spec, &job.status);
        if let Some(started_at) = status.started_at {
            let ran = since(started_at, status.updated_at);
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
            let times =
                (time(status.started_at.unwrap_or(spec.created_at)), time(status.updated_at));
            record_process(tracer, span, before.status.attempt, times, traceparent);
        }
    }

    fn verdict(&self, verdict: &'static str) {
        self.metrics.report_verdict(verdict);
    }

    fn cancel_acknowledged(&self, latency_ms: Millis) {
        self.metrics.cancel_latency(since(0, latency_ms));
    }

    fn committed(&self, took: Duration, groups: usize, claimed: usize) {
        self.metrics.journal_commit(took, groups, claimed);
    }

    fn lease_lost(&self, _job: &Job) {
        self.metrics.leases_expired(1);
    }

    fn watches(&self, change: i64) {
        let open = self.watches.fetch_add(change, Ordering::Relaxed) + change;
        self.metrics.watch_streams(usize::try_from(open).unwrap_or(0));
    }

    fn watch_gap(&self) {
        self.metrics.watch_gap("gap");
    }

    fn ledger_lag(&self, _entries: u64, lag_ms: Millis) {
        self.metrics.ledger_lag(since(0, lag_ms));
    }

    fn forgotten(&self, why: &'static str, jobs: u64) {
        self.metrics.history_removed(why, jobs);
    }

    fn shed(&self) {
        self.metrics.shed("Enqueue", "OVERLOADED");
    }
}
