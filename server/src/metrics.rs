//! The metrics of a server. [`Metrics`] has one method per event, so that names and labels are only
//! defined here.
//!
//! The number of label values is limited: callers choose the names of queues and kinds, so the
//! first 200 of each have their own label and the others are counted as `other`. Ids, actors and
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

use label_limiter::LabelLimiter;

/// Maximum number of distinct values of a label. Further values are counted as `other`.
pub const LABEL_VALUES: usize = 200;

/// The storage of a floating-point gauge.
type FloatBits = std::sync::atomic::AtomicU64;

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

/// Exponential buckets of a duration histogram: the first bound in seconds, the factor and the
/// number of buckets.
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

/// The metrics of a server. Clones share the values.
#[derive(Clone, Debug)]
pub struct Metrics {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    registry: Registry,
    queues: LabelLimiter,
    kinds: LabelLimiter,
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
    oldest_ready_age: Family<Queue, Gauge<f64, FloatBits>>,
    watch_streams: Gauge,
    watch_gaps: Family<Reason, Counter>,
    sessions: Gauge,
    slots: Gauge,
    ledger_lag: Gauge<f64, FloatBits>,
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
    /// Creates all metrics with the value 0.
    pub fn new() -> Metrics {
        let mut inner = Inner {
            registry: Registry::with_prefix("sentinel"),
            queues: LabelLimiter::new(LABEL_VALUES),
            kinds: LabelLimiter::new(LABEL_VALUES),
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

    /// Renders the metrics in the OpenMetrics text format.
    pub fn to_text(&self) -> String {
        let mut out = String::new();
        text::encode(&mut out, &self.inner.registry).expect("writing to a String does not fail");
        out
    }

    /// Counts enqueued jobs.
    pub fn enqueued(&self, queue: &str, kind: &str, jobs: u64) {
        self.inner.enqueued.get_or_create(&self.queue_kind(queue, kind)).inc_by(jobs);
    }

    /// Counts a job that reached a terminal state. `outcome` is the state in lower case: succeeded,
    /// failed, cancelled, expired.
    pub fn finished(&self, queue: &str, kind: &str, outcome: &'static str) {
        let QueueKind { queue, kind } = self.queue_kind(queue, kind);
        self.inner.finished.get_or_create(&QueueKindOutcome { queue, kind, outcome }).inc();
    }

    /// Records how long a job was ready before it was assigned to a worker.
    pub fn queue_wait(&self, queue: &str, waited: Duration) {
        let queue = self.inner.queues.label(queue);
        self.inner.queue_wait.get_or_create(&Queue { queue }).observe(waited.as_secs_f64());
    }

    /// Records how long an attempt ran.
    pub fn run_duration(&self, queue: &str, kind: &str, ran: Duration) {
        let labels = self.queue_kind(queue, kind);
        self.inner.run_duration.get_or_create(&labels).observe(ran.as_secs_f64());
    }

    /// Records the time from an accepted cancel to the end of the handler.
    pub fn cancel_latency(&self, took: Duration) {
        self.inner.cancel_latency.observe(took.as_secs_f64());
    }

    /// Records a durable group commit.
    pub fn journal_commit(&self, took: Duration, groups: usize, jobs: usize) {
        self.inner.commit_duration.observe(took.as_secs_f64());
        self.inner.commit_groups.observe(groups as f64);
        self.inner.commit_jobs.observe(jobs as f64);
    }

    /// Counts a worker's report by its verdict: recorded, duplicate, fenced, retry_later.
    pub fn report_verdict(&self, verdict: &'static str) {
        self.inner.reports.get_or_create(&Verdict { verdict }).inc();
    }

    /// Counts leases that expired because their workers sent no ping.
    pub fn leases_expired(&self, leases: u64) {
        self.inner.leases_expired.inc_by(leases);
    }

    /// Sets the number of jobs per queue and state. Series that are not listed are removed, so that
    /// an empty queue does not keep its last value.
    pub fn set_jobs<'a>(&self, depths: impl IntoIterator<Item = (&'a str, &'static str, u64)>) {
        self.inner.jobs.clear();
        for (queue, state, jobs) in depths {
            let queue = self.inner.queues.label(queue);
            let jobs = i64::try_from(jobs).unwrap_or(i64::MAX);
            self.inner.jobs.get_or_create(&QueueState { queue, state }).inc_by(jobs);
        }
    }

    /// Sets the age of the oldest ready job per queue. Queues that are not listed are removed, as
    /// in [`Metrics::set_jobs`].
    pub fn set_oldest_ready_ages<'a>(&self, ages: impl IntoIterator<Item = (&'a str, Duration)>) {
        self.inner.oldest_ready_age.clear();
        for (queue, age) in ages {
            let queue = self.inner.queues.label(queue);
            self.inner.oldest_ready_age.get_or_create(&Queue { queue }).set(age.as_secs_f64());
        }
    }

    /// Sets the number of open watch streams.
    pub fn set_watch_streams(&self, open: usize) {
        self.inner.watch_streams.set(i64::try_from(open).unwrap_or(i64::MAX));
    }

    /// Counts a gap sent to a watch by its reason: trimmed, slow_reader, epoch.
    pub fn watch_gap(&self, reason: &'static str) {
        self.inner.watch_gaps.get_or_create(&Reason { reason }).inc();
    }

    /// Sets the number of worker sessions and the total of their free slots.
    pub fn set_sessions(&self, open: usize, slots: u64) {
        self.inner.sessions.set(i64::try_from(open).unwrap_or(i64::MAX));
        self.inner.slots.set(i64::try_from(slots).unwrap_or(i64::MAX));
    }

    /// Sets the age of the oldest commit that is not in the ledger yet.
    pub fn set_ledger_lag(&self, lag: Duration) {
        self.inner.ledger_lag.set(lag.as_secs_f64());
    }

    /// Counts terminal jobs that retention removed, by reason: age or count.
    pub fn history_removed(&self, reason: &'static str, jobs: u64) {
        self.inner.history_removed.get_or_create(&Reason { reason }).inc_by(jobs);
    }

    /// Counts a call rejected because of load. `reason` is the reason in its ErrorInfo.
    pub fn shed(&self, method: &'static str, reason: &'static str) {
        self.inner.shed.get_or_create(&MethodReason { method, reason }).inc();
    }

    /// Records a finished call. `method` must come from a fixed set, `code` is the gRPC code in
    /// upper case, and `trace_id` becomes the exemplar.
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
        let registry = &mut self.registry;
        registry.register("jobs_enqueued", "Enqueued jobs", self.enqueued.clone());
        registry.register(
            "jobs_finished",
            "Jobs that reached a terminal state",
            self.finished.clone(),
        );
        registry.register("jobs", "Jobs by state", self.jobs.clone());
        registry.register_with_unit(
            "job_queue_wait",
            "Time from ready to assignment to a worker",
            Unit::Seconds,
            self.queue_wait.clone(),
        );
        registry.register_with_unit(
            "job_run_duration",
            "Time from the start of an attempt to its report",
            Unit::Seconds,
            self.run_duration.clone(),
        );
        registry.register_with_unit(
            "job_cancel_latency",
            "Time from an accepted cancel to the end of the handler",
            Unit::Seconds,
            self.cancel_latency.clone(),
        );
        registry.register_with_unit(
            "oldest_ready_age",
            "Age of the oldest ready job of a queue",
            Unit::Seconds,
            self.oldest_ready_age.clone(),
        );
        registry.register("reports", "Reports from workers by verdict", self.reports.clone());
        registry.register(
            "leases_expired",
            "Leases that expired because the worker sent no ping",
            self.leases_expired.clone(),
        );
    }

    fn register_server(&mut self) {
        let registry = &mut self.registry;
        let build = Family::<[(&'static str, &'static str); 1], Gauge>::default();
        build.get_or_create(&[("version", env!("CARGO_PKG_VERSION"))]).set(1);
        registry.register("build_info", "Version of this server", build);
        registry.register_with_unit(
            "journal_commit_duration",
            "Time from the first write of a group commit to its durability",
            Unit::Seconds,
            self.commit_duration.clone(),
        );
        let groups = "Transactions in one group commit";
        registry.register("journal_commit_groups", groups, self.commit_groups.clone());
        registry.register(
            "journal_commit_jobs",
            "Jobs in one group commit",
            self.commit_jobs.clone(),
        );
        registry.register_with_unit(
            "ledger_lag",
            "Age of the oldest commit that is not in the ledger yet",
            Unit::Seconds,
            self.ledger_lag.clone(),
        );
        registry.register(
            "history_removed",
            "Terminal jobs that retention removed, by reason: age or count",
            self.history_removed.clone(),
        );
        registry.register("watch_streams", "Open watch streams", self.watch_streams.clone());
        registry.register("watch_gaps", "Gaps sent to watches", self.watch_gaps.clone());
        registry.register("worker_sessions", "Connected worker sessions", self.sessions.clone());
        registry.register(
            "worker_slots",
            "Free slots of all connected workers",
            self.slots.clone(),
        );
        registry.register("shed_requests", "Calls rejected because of load", self.shed.clone());
        registry.register_with_unit(
            "rpc_duration",
            "Time from the arrival of a call to its last frame",
            Unit::Seconds,
            self.rpc_duration.clone(),
        );
    }
}
