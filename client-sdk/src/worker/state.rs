//! The rules of a worker's session, without I/O: which attempts this process holds, how much credit
//! it has granted, which frames to send now and which again after a reconnect. The clock is an
//! argument.
//!
//! An attempt is *held* from its assignment until its handler has finished and its report is
//! settled. `running` counts handlers that have not finished, including those that lost their
//! lease, since they still use the machine.

mod credit;
mod drain;
mod frames;
#[cfg(test)]
mod fuzz;
mod inbound;
#[cfg(test)]
mod tests;
mod timers;

use std::borrow::Borrow;
use std::collections::{HashMap, VecDeque};
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::time::{Duration, Instant};

use foldhash::fast::RandomState;

use super::active_attempt::{ActiveAttempt, DirtySender};
use super::outcome::Outcome;
use super::timings::SessionTimings;
use crate::proto::workers::v1::{
    Assignment, Cancelled, Hello, Kind, Lease, ReportItem, report_item,
};
use crate::time::wire_timestamp;
pub(crate) use credit::Capacity;
pub(crate) use drain::DrainPhase;
use timers::{Timer, Timers};

/// The limit of finished attempts that are held only for unacknowledged log lines.
const MAX_AWAITING_LOG_ACK: usize = 1000;

/// The part of Hello that never changes.
#[derive(Clone, Debug)]
pub(crate) struct WorkerInfo {
    pub(crate) instance: Arc<str>,
    pub(crate) build: String,
    pub(crate) queues: Vec<String>,
    pub(crate) kinds: Vec<Kind>,
    pub(crate) labels: std::collections::BTreeMap<String, String>,
}

/// Notifies the session that a handler has finished.
#[derive(Debug)]
pub(crate) struct HandlerFinished {
    pub(crate) local_id: u64,
    pub(crate) outcome: Outcome,
}

/// A message of the server that violates the protocol. The session closes the stream.
#[derive(Debug, thiserror::Error)]
#[error("the server violated the protocol: {0}")]
pub(crate) struct ProtocolViolation(pub(crate) &'static str);

struct HeldAttempt {
    attempt: Arc<ActiveAttempt>,
    is_running: bool,
    has_lease: bool,
    cancel_requested: bool,
    report: Option<ReportItem>,
    /// Whether the report is queued or sent on the current stream.
    is_report_queued: bool,
    resends: u32,
    is_data_queued: bool,
    is_progress_queued: bool,
    /// Finished, settled, and held only for its unacknowledged log lines, across at most one
    /// reconnect.
    awaits_log_ack: bool,
    awaited_log_ack_at_reconnect: bool,
    timers: [Option<Instant>; timers::KINDS],
}

/// Looks up attempts by their lease without a copy of it.
struct LeaseKey(Arc<ActiveAttempt>);

impl Borrow<Lease> for LeaseKey {
    fn borrow(&self) -> &Lease {
        &self.0.lease
    }
}

impl Hash for LeaseKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.lease.hash(state);
    }
}

impl PartialEq for LeaseKey {
    fn eq(&self, other: &Self) -> bool {
        self.0.lease == other.0.lease
    }
}

impl Eq for LeaseKey {}

/// The state of one stream. The next Hello resets it.
struct StreamState {
    /// Whether Welcome was received.
    is_open: bool,
    supports_output: bool,
    /// The attempts in `Hello.held`, in its order, which is also the order of the verdicts.
    hello_held: Vec<u64>,
    /// Slots granted and not yet used by assignments.
    granted_slots: u32,
    /// Payload bytes granted, less the payloads that were assigned.
    granted_bytes: i64,
    last_assign_seq: u64,
    received_due: bool,
    cancel_acks: Vec<Lease>,
    reports: VecDeque<u64>,
    /// Attempts with log lines, a checkpoint or output to send.
    data: VecDeque<u64>,
    /// Finished attempts whose last log lines and progress are sent before their reports.
    final_data: VecDeque<u64>,
    progress: Vec<u64>,
    last_flush: Instant,
    last_progress: Instant,
    last_received: Instant,
    /// Reports sent and not acknowledged, and the time of the last acknowledgement.
    unacked_reports: u32,
    last_report_ack: Instant,
    next_ping: Instant,
    drain_sent: bool,
    drain_acked: Option<u64>,
    go_away: Option<Duration>,
}

impl StreamState {
    fn closed(now: Instant) -> Self {
        Self {
            is_open: false,
            supports_output: false,
            hello_held: Vec::new(),
            granted_slots: 0,
            granted_bytes: 0,
            last_assign_seq: 0,
            received_due: false,
            cancel_acks: Vec::new(),
            reports: VecDeque::new(),
            data: VecDeque::new(),
            final_data: VecDeque::new(),
            progress: Vec::new(),
            last_flush: now,
            last_progress: now,
            last_received: now,
            unacked_reports: 0,
            last_report_ack: now,
            next_ping: now,
            drain_sent: false,
            drain_acked: None,
            go_away: None,
        }
    }
}

pub(crate) struct SessionState {
    info: WorkerInfo,
    timings: SessionTimings,
    capacity: Capacity,
    dirty: DirtySender,
    /// Returns the jitter of delays, uniform in 0..1.
    random: fn() -> f64,
    session: String,
    ping_interval: Duration,
    ping_nonce: u64,
    held: HashMap<u64, HeldAttempt, RandomState>,
    by_lease: HashMap<LeaseKey, u64, RandomState>,
    last_local_id: u64,
    running: u32,
    /// Payload bytes of the running handlers.
    running_bytes: i64,
    unsettled_reports: u32,
    awaiting_log_ack: usize,
    timers: Timers,
    stream: StreamState,
    drain: DrainPhase,
}

impl SessionState {
    pub(crate) fn new(
        info: WorkerInfo,
        timings: SessionTimings,
        capacity: Capacity,
        dirty: DirtySender,
        now: Instant,
    ) -> Self {
        Self {
            info,
            timings,
            capacity,
            dirty,
            random: rand::random::<f64>,
            session: String::new(),
            ping_interval: Duration::from_secs(2),
            ping_nonce: 0,
            held: HashMap::default(),
            by_lease: HashMap::default(),
            last_local_id: 0,
            running: 0,
            running_bytes: 0,
            unsettled_reports: 0,
            awaiting_log_ack: 0,
            timers: Timers::default(),
            stream: StreamState::closed(now),
            drain: DrainPhase::NotStarted,
        }
    }

    /// Whether a Welcome was ever received.
    pub(crate) fn was_welcomed(&self) -> bool {
        !self.session.is_empty()
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.drain.has_started()
    }

    /// Handles a closed stream. Unacknowledged data is sent again after the next Welcome.
    pub(crate) fn disconnected(&mut self, now: Instant) {
        self.stream = StreamState::closed(now);
        let mut expired = Vec::new();
        for (local_id, held) in &mut self.held {
            held.is_report_queued = false;
            held.is_data_queued = false;
            held.is_progress_queued = false;
            held.attempt.rewind();
            if held.awaits_log_ack
                && std::mem::replace(&mut held.awaited_log_ack_at_reconnect, true)
            {
                expired.push(*local_id);
            }
        }
        for local_id in expired {
            self.remove(local_id);
        }
    }

    /// Resets the stream state and creates the Hello of the next stream.
    pub(crate) fn hello(&mut self, now: Instant) -> Hello {
        self.disconnected(now);
        let leased = self.held.iter().filter(|(_, held)| held.has_lease);
        let mut local_ids: Vec<u64> = leased.map(|(local_id, _)| *local_id).collect();
        local_ids.sort_unstable();
        let leases = local_ids.iter().filter_map(|local_id| self.held.get(local_id));
        let leases = leases.map(|held| held.attempt.lease.clone()).collect();
        let credit = Some(self.grant_credit());
        self.stream.hello_held = local_ids;
        Hello {
            instance: self.info.instance.to_string(),
            build: self.info.build.clone(),
            capabilities: Vec::new(),
            queues: self.info.queues.clone(),
            kinds: self.info.kinds.clone(),
            labels: self.info.labels.clone(),
            session: self.session.clone(),
            held: leases,
            credit,
        }
    }

    /// Handles a handler that has finished or was dropped.
    pub(crate) fn handler_finished(&mut self, message: HandlerFinished) {
        let HandlerFinished { local_id, outcome } = message;
        let is_releasing = self.drain.is_releasing();
        let Some(held) = self.held.get_mut(&local_id) else { return };
        if !std::mem::replace(&mut held.is_running, false) {
            return;
        }
        self.running -= 1;
        self.running_bytes -= payload_bytes(&held.attempt.assignment);
        self.timers.clear(local_id, &mut held.timers, Timer::RunTimeout);
        self.timers.clear(local_id, &mut held.timers, Timer::Abort);
        held.attempt.finish();
        if !held.has_lease || held.report.is_some() {
            self.remove_if_done(local_id);
            return;
        }
        let outcome = reported_outcome(outcome, held.cancel_requested, is_releasing);
        self.report(local_id, outcome);
    }

    fn report(&mut self, local_id: u64, outcome: report_item::Outcome) {
        let Some(held) = self.held.get_mut(&local_id) else { return };
        if held.report.is_none() {
            self.unsettled_reports += 1;
        }
        held.report = Some(ReportItem {
            lease: Some(held.attempt.lease.clone()),
            started_at: held.attempt.started_at().map(wire_timestamp),
            outcome: Some(outcome),
        });
        if self.stream.is_open {
            if held.attempt.has_log_lines() || held.attempt.has_progress() {
                self.stream.final_data.push_back(local_id);
            }
            held.is_report_queued = true;
            self.stream.reports.push_back(local_id);
        }
    }

    /// Handles a handler that wrote progress, a log line, a checkpoint or output.
    pub(crate) fn handler_wrote(&mut self, attempt: &ActiveAttempt) {
        attempt.clear_dirty();
        if let Some(held) = self.held.get_mut(&attempt.local_id).filter(|held| held.has_lease) {
            queue_data(held, &mut self.stream);
        }
    }

    /// Handles a lost lease: cancels the handler and sends nothing more about the attempt.
    fn lease_lost(&mut self, now: Instant, local_id: u64) {
        let Some(held) = self.held.get_mut(&local_id).filter(|held| held.has_lease) else { return };
        held.has_lease = false;
        held.attempt.discard();
        if held.report.take().is_some() {
            self.unsettled_reports -= 1;
        }
        self.timers.clear(local_id, &mut held.timers, Timer::RunTimeout);
        self.timers.clear(local_id, &mut held.timers, Timer::Resend);
        if held.is_running {
            held.attempt.cancel();
            // A handler that ignores the cancel must not keep its slot forever.
            let at = now + self.timings.abort_grace;
            self.timers.set(local_id, &mut held.timers, Timer::Abort, at);
        }
        self.remove_if_done(local_id);
    }

    /// Handles a settled report. Only log lines may still be unacknowledged.
    fn report_settled(&mut self, local_id: u64) {
        let Some(held) = self.held.get_mut(&local_id) else { return };
        if held.report.take().is_none() {
            return;
        }
        self.unsettled_reports -= 1;
        held.has_lease = false;
        self.timers.clear(local_id, &mut held.timers, Timer::Resend);
        self.remove_if_done(local_id);
    }

    fn remove_if_done(&mut self, local_id: u64) {
        let Some(held) = self.held.get_mut(&local_id) else { return };
        if held.is_running || held.report.is_some() || held.has_lease {
            return;
        }
        let may_wait = held.awaits_log_ack || self.awaiting_log_ack < MAX_AWAITING_LOG_ACK;
        if held.attempt.log_is_empty() || !may_wait {
            self.remove(local_id);
        } else if !std::mem::replace(&mut held.awaits_log_ack, true) {
            self.awaiting_log_ack += 1;
        }
    }

    fn remove(&mut self, local_id: u64) {
        let Some(mut held) = self.held.remove(&local_id) else { return };
        for timer in Timer::ALL {
            self.timers.clear(local_id, &mut held.timers, timer);
        }
        if held.awaits_log_ack {
            self.awaiting_log_ack -= 1;
        }
        self.by_lease.remove(&held.attempt.lease);
    }

    pub(crate) fn abort_all(&self) {
        for held in self.held.values().filter(|held| held.is_running) {
            held.attempt.cancel();
            held.attempt.abort();
        }
    }

    #[cfg(test)]
    fn counts(&self) -> (u32, u32, u32) {
        (self.running, self.stream.granted_slots, self.unsettled_reports)
    }
}

/// The outcome to report. For a cancelled job only a success is reported as such. While a drain
/// releases jobs, a handler that stopped because of it is released, not failed.
fn reported_outcome(
    outcome: Outcome,
    is_cancelled: bool,
    is_releasing: bool,
) -> report_item::Outcome {
    match outcome {
        Outcome::Succeed(_) => outcome.into_wire(),
        _ if is_cancelled => report_item::Outcome::Cancelled(Cancelled {}),
        _ if is_releasing => Outcome::Release.into_wire(),
        // No cancel was requested: the handler stopped on its own, so another worker may run the
        // job.
        Outcome::Cancelled => Outcome::Release.into_wire(),
        _ => outcome.into_wire(),
    }
}

fn payload_bytes(assignment: &Assignment) -> i64 {
    i64::try_from(assignment.payload.len()).unwrap_or(i64::MAX)
}

fn queue_data(held: &mut HeldAttempt, stream: &mut StreamState) {
    if !stream.is_open {
        return;
    }
    let attempt = &held.attempt;
    let has_data = attempt.has_checkpoint() || attempt.has_output() || attempt.has_log_lines();
    if has_data && !std::mem::replace(&mut held.is_data_queued, true) {
        stream.data.push_back(held.attempt.local_id);
    }
    if held.attempt.has_progress() && !std::mem::replace(&mut held.is_progress_queued, true) {
        stream.progress.push(held.attempt.local_id);
    }
}
