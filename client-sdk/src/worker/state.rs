//! The rules of a worker's session, without IO: which attempts this process holds, how much room
//! it has granted, what is to be sent now and what again after a break. The clock is an argument.
//!
//! An attempt is *held* from its assignment until its handler has ended and its report is
//! settled. `running` counts handlers that have not ended, also those whose lease is lost: they
//! use the machine all the same.

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

use super::attempt::{Attempt, Dirty};
use super::outcome::Outcome;
use super::tuning::SessionTimings;
use crate::proto::workers::v1::{
    Assignment, Cancelled, Hello, Kind, Lease, ReportItem, report_item,
};
use crate::time::wire_timestamp;
pub(crate) use credit::Room;
pub(crate) use drain::Drain;
use timers::{Timer, Timers};

/// Finished attempts whose log lines wait for their acknowledgement.
const MAX_LINGERING: usize = 1000;

/// Who this worker is: the part of Hello that never changes.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    pub(crate) instance: Arc<str>,
    pub(crate) build: String,
    pub(crate) queues: Vec<String>,
    pub(crate) kinds: Vec<Kind>,
    pub(crate) labels: std::collections::BTreeMap<String, String>,
}

/// What a handler's end tells the session.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) no: u64,
    pub(crate) outcome: Outcome,
}

/// A message that breaks the contract; the stream is given up.
#[derive(Debug, thiserror::Error)]
#[error("the server broke the protocol: {0}")]
pub(crate) struct Violation(pub(crate) &'static str);

struct Held {
    attempt: Arc<Attempt>,
    is_running: bool,
    lease_live: bool,
    cancel_requested: bool,
    report: Option<ReportItem>,
    /// The report is queued or sent on the present stream.
    is_reporting: bool,
    resends: u32,
    is_in_side: bool,
    is_in_progress: bool,
    /// Ended, settled, and only kept for its log lines, through at most one break.
    is_lingering: bool,
    broke_while_lingering: bool,
    timers: [Option<Instant>; timers::KINDS],
}

struct ByLease(Arc<Attempt>);

impl Borrow<Lease> for ByLease {
    fn borrow(&self) -> &Lease {
        &self.0.lease
    }
}

impl Hash for ByLease {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.lease.hash(state);
    }
}

impl PartialEq for ByLease {
    fn eq(&self, other: &Self) -> bool {
        self.0.lease == other.0.lease
    }
}

impl Eq for ByLease {}

/// What belongs to one stream and starts anew with the next Hello.
struct Link {
    is_up: bool,
    /// The server takes output.
    takes_output: bool,
    /// The attempts named in Hello.held, in its order: the verdicts refer to it.
    hello_held: Vec<u64>,
    credit_out: u32,
    /// Granted, less the payloads that were assigned.
    bytes_out: i64,
    last_assign_seq: u64,
    received_due: bool,
    cancel_acks: Vec<Lease>,
    reports: VecDeque<u64>,
    /// Attempts with log lines, a checkpoint or output to send.
    side: VecDeque<u64>,
    /// Attempts that ended and whose last words go out before their reports.
    last_words: VecDeque<u64>,
    progress: Vec<u64>,
    last_flush: Instant,
    last_progress: Instant,
    last_heard: Instant,
    /// Reports sent and not acknowledged, and since when nothing was acknowledged.
    in_flight: u32,
    waits_since: Instant,
    next_ping: Instant,
    drain_sent: bool,
    drain_acked: Option<u64>,
    go_away: Option<Duration>,
}

impl Link {
    fn down(now: Instant) -> Self {
        Self {
            is_up: false,
            takes_output: false,
            hello_held: Vec::new(),
            credit_out: 0,
            bytes_out: 0,
            last_assign_seq: 0,
            received_due: false,
            cancel_acks: Vec::new(),
            reports: VecDeque::new(),
            side: VecDeque::new(),
            last_words: VecDeque::new(),
            progress: Vec::new(),
            last_flush: now,
            last_progress: now,
            last_heard: now,
            in_flight: 0,
            waits_since: now,
            next_ping: now,
            drain_sent: false,
            drain_acked: None,
            go_away: None,
        }
    }
}

pub(crate) struct SessionState {
    identity: Identity,
    tuning: SessionTimings,
    room: Room,
    dirty: Dirty,
    /// Uniform in 0..1, for the pauses.
    random: fn() -> f64,
    session: String,
    ping_interval: Duration,
    ping_nonce: u64,
    held: HashMap<u64, Held, RandomState>,
    by_lease: HashMap<ByLease, u64, RandomState>,
    last_no: u64,
    running: u32,
    /// Payloads of the running handlers.
    running_bytes: i64,
    unacked: u32,
    lingering: usize,
    timers: Timers,
    link: Link,
    drain: Drain,
}

impl SessionState {
    pub(crate) fn new(
        identity: Identity,
        tuning: SessionTimings,
        room: Room,
        dirty: Dirty,
        now: Instant,
    ) -> Self {
        Self {
            identity,
            tuning,
            room,
            dirty,
            random: rand::random::<f64>,
            session: String::new(),
            ping_interval: Duration::from_secs(2),
            ping_nonce: 0,
            held: HashMap::default(),
            by_lease: HashMap::default(),
            last_no: 0,
            running: 0,
            running_bytes: 0,
            unacked: 0,
            lingering: 0,
            timers: Timers::default(),
            link: Link::down(now),
            drain: Drain::No,
        }
    }

    /// Whether a Welcome was ever received.
    pub(crate) fn was_welcomed(&self) -> bool {
        !self.session.is_empty()
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.drain.has_begun()
    }

    /// The stream is gone, or about to be replaced. What it carried and was not acknowledged is
    /// sent again after the next Welcome.
    pub(crate) fn disconnected(&mut self, now: Instant) {
        self.link = Link::down(now);
        let mut expired = Vec::new();
        for (no, held) in &mut self.held {
            held.is_reporting = false;
            held.is_in_side = false;
            held.is_in_progress = false;
            held.attempt.rewind();
            if held.is_lingering && std::mem::replace(&mut held.broke_while_lingering, true) {
                expired.push(*no);
            }
        }
        for no in expired {
            self.forget(no);
        }
    }

    /// Ends the present stream's bookkeeping and opens that of the next one.
    pub(crate) fn hello(&mut self, now: Instant) -> Hello {
        self.disconnected(now);
        let live = self.held.iter().filter(|(_, held)| held.lease_live);
        let mut nos: Vec<u64> = live.map(|(no, _)| *no).collect();
        nos.sort_unstable();
        let leases = nos.iter().filter_map(|no| self.held.get(no));
        let leases = leases.map(|held| held.attempt.lease.clone()).collect();
        let credit = Some(self.grant());
        self.link.hello_held = nos;
        Hello {
            instance: self.identity.instance.to_string(),
            build: self.identity.build.clone(),
            capabilities: Vec::new(),
            queues: self.identity.queues.clone(),
            kinds: self.identity.kinds.clone(),
            labels: self.identity.labels.clone(),
            session: self.session.clone(),
            held: leases,
            credit,
        }
    }

    /// A handler has ended, by itself or by being dropped.
    pub(crate) fn finished(&mut self, finished: Finished) {
        let Finished { no, outcome } = finished;
        let releasing = self.drain.is_releasing();
        let Some(held) = self.held.get_mut(&no) else { return };
        if !std::mem::replace(&mut held.is_running, false) {
            return;
        }
        self.running -= 1;
        self.running_bytes -= payload_bytes(&held.attempt.assignment);
        self.timers.clear(no, &mut held.timers, Timer::RunTimeout);
        self.timers.clear(no, &mut held.timers, Timer::Abandon);
        held.attempt.end();
        if !held.lease_live || held.report.is_some() {
            self.forget_if_done(no);
            return;
        }
        let outcome = outcome_to_report(outcome, held.cancel_requested, releasing);
        self.report(no, outcome);
    }

    fn report(&mut self, no: u64, outcome: report_item::Outcome) {
        let Some(held) = self.held.get_mut(&no) else { return };
        if held.report.is_none() {
            self.unacked += 1;
        }
        held.report = Some(ReportItem {
            lease: Some(held.attempt.lease.clone()),
            started_at: held.attempt.started_at().map(wire_timestamp),
            outcome: Some(outcome),
        });
        if self.link.is_up {
            if held.attempt.has_log_lines() || held.attempt.has_progress() {
                self.link.last_words.push_back(no);
            }
            held.is_reporting = true;
            self.link.reports.push_back(no);
        }
    }

    /// A handler wrote progress, a log line or a checkpoint.
    pub(crate) fn wrote(&mut self, attempt: &Attempt) {
        attempt.clean();
        if let Some(held) = self.held.get_mut(&attempt.no).filter(|held| held.lease_live) {
            queue_side(held, &mut self.link);
        }
    }

    /// The lease is lost: the handler is told to stop and nothing more is sent about it.
    fn lose(&mut self, now: Instant, no: u64) {
        let Some(held) = self.held.get_mut(&no).filter(|held| held.lease_live) else { return };
        held.lease_live = false;
        held.attempt.silence();
        if held.report.take().is_some() {
            self.unacked -= 1;
        }
        self.timers.clear(no, &mut held.timers, Timer::RunTimeout);
        self.timers.clear(no, &mut held.timers, Timer::Resend);
        if held.is_running {
            held.attempt.cancel();
            // A handler that ignores the cancel must not hold its slot for ever.
            let at = now + self.tuning.abandon_grace;
            self.timers.set(no, &mut held.timers, Timer::Abandon, at);
        }
        self.forget_if_done(no);
    }

    /// The report is the record; only log lines may still be on their way.
    fn settle(&mut self, no: u64) {
        let Some(held) = self.held.get_mut(&no) else { return };
        if held.report.take().is_none() {
            return;
        }
        self.unacked -= 1;
        held.lease_live = false;
        self.timers.clear(no, &mut held.timers, Timer::Resend);
        self.forget_if_done(no);
    }

    fn forget_if_done(&mut self, no: u64) {
        let Some(held) = self.held.get_mut(&no) else { return };
        if held.is_running || held.report.is_some() || held.lease_live {
            return;
        }
        let may_linger = held.is_lingering || self.lingering < MAX_LINGERING;
        if held.attempt.log_is_empty() || !may_linger {
            self.forget(no);
        } else if !std::mem::replace(&mut held.is_lingering, true) {
            self.lingering += 1;
        }
    }

    fn forget(&mut self, no: u64) {
        let Some(mut held) = self.held.remove(&no) else { return };
        for timer in Timer::ALL {
            self.timers.clear(no, &mut held.timers, timer);
        }
        if held.is_lingering {
            self.lingering -= 1;
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
        (self.running, self.link.credit_out, self.unacked)
    }
}

/// Under a cancel only a success still counts as the handler's own end. While a drain hands jobs
/// back, a handler that stopped because it was told to is handed back, not failed.
fn outcome_to_report(outcome: Outcome, cancelled: bool, releasing: bool) -> report_item::Outcome {
    match outcome {
        Outcome::Succeed(_) => outcome.into_wire(),
        _ if cancelled => report_item::Outcome::Cancelled(Cancelled {}),
        _ if releasing => Outcome::Release.into_wire(),
        // Nobody asked for a cancel: the handler stopped by itself and another may run it.
        Outcome::Cancelled => Outcome::Release.into_wire(),
        _ => outcome.into_wire(),
    }
}

fn payload_bytes(assignment: &Assignment) -> i64 {
    i64::try_from(assignment.payload.len()).unwrap_or(i64::MAX)
}

fn queue_side(held: &mut Held, link: &mut Link) {
    if !link.is_up {
        return;
    }
    let attempt = &held.attempt;
    let has_side = attempt.has_checkpoint() || attempt.has_output() || attempt.has_log_lines();
    if has_side && !std::mem::replace(&mut held.is_in_side, true) {
        link.side.push_back(held.attempt.no);
    }
    if held.attempt.has_progress() && !std::mem::replace(&mut held.is_in_progress, true) {
        link.progress.push(held.attempt.no);
    }
}
