//! What a server counts. One struct with a method per thing that happens, so that callers
//! neither know names nor labels, and dashboards find all of them in one list.
//!
//! Labels come from a bounded set: queues and kinds are names that callers choose, so the
//! first 200 of each are kept apart and the rest is counted under `other`. Ids, actors and
//! error texts are never labels.

mod label_limiter;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::exemplar::HistogramWithExemplars;
use prometheus_client::metrics::family::{Family, MetricConstructor};
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use label_limiter::Bounded;

/// Distinct values of a label beyond which values are counted under `other`.
pub const LABEL_VALUES: usize = 200;

type Seconds = std::sync::atomic::AtomicU64;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct QueueKind {
    queue: Arc<str>,
    kind: Arc<str>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct QueueKindOutcome {
    queue: Arc<str>,
    kind: Arc<str>,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Queue {
    queue: Arc<str>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct QueueState {
    queue: Arc<str>,
    state: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Verdict {
    verdict: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Reason {
    reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct MethodReason {
    method: &'static str,
    reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct MethodCode {
    method: Arc<str>,
    code: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TraceId {
    trace_id: String,
}

/// 0.5 ms to 4.5 h in steps of four: what a call takes and what a job takes lie far apart.
#[derive(Clone, Debug)]
struct Durations {
    first: f64,
    factor: f64,
    count: u16,
}

impl Durations {
    const RPC: Durations = Durations { first: 0.000_25, factor: 2.0, count: 17 };
    const JOB: Durations = Durations { first: 0.001, factor: 3.0, count: 16 };

    fn buckets(&self) -> impl Iterator<Item = f64> + use<> {
        prometheus_client::metrics::histogram::exponential_buckets(
            self.first,
            self.factor,
            self.count,
        )
    }
}

impl MetricConstructor<Histogram> for Durations {
    fn new_metric(&self) -> Histogram {
        Histogram::new(self.buckets())
    }
}

impl MetricConstructor<HistogramWithExemplars<TraceId>> for Durations {
    fn new_metric(&self) -> HistogramWithExemplars<TraceId> {
        HistogramWithExemplars::new(self.buckets())
    }
}

/// What a server counts. Clones share the numbers.
#[derive(Clone, Debug)]
pub struct Metrics {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    registry: Registry,
    queues: Bounded,
    kinds: Bounded,
    enqueued: Family<QueueKind, Counter>,
    finished: Family<QueueKindOutcome, Counter>,
    queue_wait: Family<Queue, Histogram, Durations>,
    run_duration: Family<QueueKind, Histogram, Durations>,
    cancel_latency: Histogram,
    commit_duration: Histogram,
    commit_groups: Histogram,
    commit_jobs: Histogram,
    reports: Family<Verdict, Counter>,
    leases_expired: Counter,
    jobs: Family<QueueState, Gauge>,
    oldest_ready_age: Family<Queue, Gauge<f64, Seconds>>,
    watch_streams: Gauge,
    watch_gaps: Family<Reason, Counter>,
    sessions: Gauge,
    slots: Gauge,
    ledger_lag: Gauge<f64, Seconds>,
    history_removed: Family<Reason, Counter>,
    shed: Family<MethodReason, Counter>,
    rpc_duration: Family<MethodCode, HistogramWithExemplars<TraceId>, Durations>,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

fn counts() -> impl Iterator<Item = f64> {
    prometheus_client::metrics::histogram::exponential_buckets(1.0, 2.0, 13)
}

impl Metrics {
    /// All at zero.
    pub fn new() -> Metrics {
        let mut inner = Inner {
            registry: Registry::with_prefix("sentinel"),
            queues: Bounded::new(LABEL_VALUES),
            kinds: Bounded::new(LABEL_VALUES),
            enqueued: Family::default(),
            finished: Family::default(),
            queue_wait: Family::new_with_constructor(Durations::JOB),
            run_duration: Family::new_with_constructor(Durations::JOB),
            cancel_latency: Histogram::new(Durations::JOB.buckets()),
            commit_duration: Histogram::new(Durations::RPC.buckets()),
            commit_groups: Histogram::new(counts()),
            commit_jobs: Histogram::new(counts()),
            reports: Family::default(),
            leases_expired: Counter::default(),
            jobs: Family::default(),
            oldest_ready_age: Family::default(),
            watch_streams: Gauge::default(),
            watch_gaps: Family::default(),
            sessions: Gauge::default(),
            slots: Gauge::default(),
            ledger_lag: Gauge::default(),
            history_removed: Family::default(),
            shed: Family::default(),
            rpc_duration: Family::new_with_constructor(Durations::RPC),
        };
        inner.register_jobs();
        inner.register_server();
        Metrics { inner: Arc::new(inner) }
    }

    /// In OpenMetrics text.
    pub fn to_text(&self) -> String {
        let mut out = String::new();
        text::encode(&mut out, &self.inner.registry).expect("writing to a String does not fail");
        out
    }

    /// Jobs became durable.
    pub fn enqueued(&self, queue: &str, kind: &str, jobs: u64) {
        self.inner.enqueued.get_or_create(&self.queue_kind(queue, kind)).inc_by(jobs);
    }

    /// A job became final. `outcome` is the state in lower case: succeeded, failed,
    /// cancelled, expired.
    pub fn finished(&self, queue: &str, kind: &str, outcome: &'static str) {
        let QueueKind { queue, kind } = self.queue_kind(queue, kind);
        self.inner.finished.get_or_create(&QueueKindOutcome { queue, kind, outcome }).inc();
    }

    /// A job was handed to a worker, so long after it could have been.
    pub fn queue_wait(&self, queue: &str, waited: Duration) {
        let queue = self.inner.queues.label(queue);
        self.inner.queue_wait.get_or_create(&Queue { queue }).observe(waited.as_secs_f64());
    }

    /// An attempt ended, so long after it began.
    pub fn run_duration(&self, queue: &str, kind: &str, ran: Duration) {
        let labels = self.queue_kind(queue, kind);
        self.inner.run_duration.get_or_create(&labels).observe(ran.as_secs_f64());
    }

    /// The handler of a cancelled job ended, so long after the cancel was accepted.
    pub fn cancel_latency(&self, took: Duration) {
        self.inner.cancel_latency.observe(took.as_secs_f64());
    }

    /// A group commit became durable.
    pub fn journal_commit(&self, took: Duration, groups: usize, jobs: usize) {
        self.inner.commit_duration.observe(took.as_secs_f64());
        self.inner.commit_groups.observe(groups as f64);
        self.inner.commit_jobs.observe(jobs as f64);
    }

    /// A worker's report was answered: recorded, duplicate, fenced, retry_later.
    pub fn report_verdict(&self, verdict: &'static str) {
        self.inner.reports.get_or_create(&Verdict { verdict }).inc();
    }

    /// Leases were taken from workers that gave no sign of life.
    pub fn leases_expired(&self, leases: u64) {
        self.inner.leases_expired.inc_by(leases);
    }

    /// How many jobs are in each state, in all queues. What is not named is gone: a queue
    /// that ran empty does not keep its last number.
    pub fn depths<'a>(&self, depths: impl IntoIterator<Item = (&'a str, &'static str, u64)>) {
        self.inner.jobs.clear();
        for (queue, state, jobs) in depths {
            let queue = self.inner.queues.label(queue);
            let jobs = i64::try_from(jobs).unwrap_or(i64::MAX);
            self.inner.jobs.get_or_create(&QueueState { queue, state }).inc_by(jobs);
        }
    }

    /// How long the first job of each queue with ready jobs has been ready. As with
    /// [`Metrics::depths`], what is not named is gone.
    pub fn oldest_ready<'a>(&self, ages: impl IntoIterator<Item = (&'a str, Duration)>) {
        self.inner.oldest_ready_age.clear();
        for (queue, age) in ages {
            let queue = self.inner.queues.label(queue);
            self.inner.oldest_ready_age.get_or_create(&Queue { queue }).set(age.as_secs_f64());
        }
    }

    /// Watch streams that are open.
    pub fn watch_streams(&self, open: usize) {
        self.inner.watch_streams.set(i64::try_from(open).unwrap_or(i64::MAX));
    }

    /// A watch was told that it missed something: trimmed, slow_reader, epoch.
    pub fn watch_gap(&self, reason: &'static str) {
        self.inner.watch_gaps.get_or_create(&Reason { reason }).inc();
    }

    /// Workers that are connected, and the jobs that they have room for.
    pub fn sessions(&self, open: usize, slots: u64) {
        self.inner.sessions.set(i64::try_from(open).unwrap_or(i64::MAX));
        self.inner.slots.set(i64::try_from(slots).unwrap_or(i64::MAX));
    }

    /// Age of the oldest change that is not in the ledger yet.
    pub fn ledger_lag(&self, lag: Duration) {
        self.inner.ledger_lag.set(lag.as_secs_f64());
    }

    /// Finished jobs left the history, because of their age or of their count in a queue.
    pub fn history_removed(&self, reason: &'static str, jobs: u64) {
        self.inner.history_removed.get_or_create(&Reason { reason }).inc_by(jobs);
    }

    /// A call was refused because the server has too much to do. `reason` is the one of
    /// its ErrorInfo.
    pub fn shed(&self, method: &'static str, reason: &'static str) {
        self.inner.shed.get_or_create(&MethodReason { method, reason }).inc();
    }

    /// A call ended. `method` must come from a fixed set; `code` is the gRPC code in upper
    /// case; a `trace_id` becomes the exemplar.
    pub fn rpc(
        &self,
        method: Arc<str>,
        code: &'static str,
        took: Duration,
        trace_id: Option<String>,
    ) {
        let exemplar = trace_id.map(|trace_id| TraceId { trace_id });
        let labels = MethodCode { method, code };
        let histogram = self.inner.rpc_duration.get_or_create(&labels);
        histogram.observe(took.as_secs_f64(), exemplar, None);
    }

    fn queue_kind(&self, queue: &str, kind: &str) -> QueueKind {
        QueueKind { queue: self.inner.queues.label(queue), kind: self.inner.kinds.label(kind) }
    }
}

impl Inner {
    fn register_jobs(&mut self) {
        let to = &mut self.registry;
        to.register("jobs_enqueued", "Jobs that became durable", self.enqueued.clone());
        to.register("jobs_finished", "Jobs that became final", self.finished.clone());
        to.register("jobs", "Jobs by state", self.jobs.clone());
        to.register_with_unit(
            "job_queue_wait",
            "From the time a job could start to its hand-over to a worker",
            Unit::Seconds,
            self.queue_wait.clone(),
        );
        to.register_with_unit(
            "job_run_duration",
            "From the start of an attempt to its report",
            Unit::Seconds,
            self.run_duration.clone(),
        );
        to.register_with_unit(
            "job_cancel_latency",
            "From an accepted cancel to the end of the handler",
            Unit::Seconds,
            self.cancel_latency.clone(),
        );
        to.register_with_unit(
            "oldest_ready_age",
            "How long the first ready job of a queue has been ready",
            Unit::Seconds,
            self.oldest_ready_age.clone(),
        );
        to.register("reports", "Reports of workers by verdict", self.reports.clone());
        to.register(
            "leases_expired",
            "Leases taken from workers that gave no sign of life",
            self.leases_expired.clone(),
        );
    }

    fn register_server(&mut self) {
        let to = &mut self.registry;
        let build = Family::<[(&'static str, &'static str); 1], Gauge>::default();
        build.get_or_create(&[("version", env!("CARGO_PKG_VERSION"))]).set(1);
        to.register("build_info", "Version of this server", build);
        to.register_with_unit(
            "journal_commit_duration",
            "From the first write of a group commit to its durability",
            Unit::Seconds,
            self.commit_duration.clone(),
        );
        let groups = "Groups of changes in one commit";
        to.register("journal_commit_groups", groups, self.commit_groups.clone());
        to.register("journal_commit_jobs", "Jobs in one commit", self.commit_jobs.clone());
        to.register_with_unit(
            "ledger_lag",
            "Age of the oldest change that is not in the ledger yet",
            Unit::Seconds,
            self.ledger_lag.clone(),
        );
        to.register(
            "history_removed",
            "Finished jobs that retention removed, by reason: age or count",
            self.history_removed.clone(),
        );
        to.register("watch_streams", "Watch streams that are open", self.watch_streams.clone());
        to.register("watch_gaps", "Gaps told to watches", self.watch_gaps.clone());
        to.register("worker_sessions", "Workers that are connected", self.sessions.clone());
        to.register("worker_slots", "Jobs that workers have room for", self.slots.clone());
        to.register("shed_requests", "Calls refused because of load", self.shed.clone());
        to.register_with_unit(
            "rpc_duration",
            "From the arrival of a call to its last frame",
            Unit::Seconds,
            self.rpc_duration.clone(),
        );
    }
}
