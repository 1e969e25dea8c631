//! Handles the frames of the server. A frame may be repeated, late, or about an attempt that this
//! process no longer holds; none of these is an error.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::super::active_attempt::ActiveAttempt;
use super::timers::Timer;
use super::{HeldAttempt, LeaseKey, ProtocolViolation, SessionState, payload_bytes, queue_data};
use crate::proto::workers::v1::{
    Assign, Assignment, CancelItem, CheckpointAck, HeldVerdict, Lease, LogAck, OutputAck, Released,
    ReportAck, Revoked, SessionResponse, Verdict, Welcome, report_item, session_response::Frame,
};
use crate::time::{after, std_duration};

/// The capability of a server that supports Output frames.
const OUTPUT_CAPABILITY: &str = "output";

const DEFAULT_PING_INTERVAL: Duration = Duration::from_secs(2);
/// The range to which the server's ping interval is clamped.
const MIN_PING_INTERVAL: Duration = Duration::from_millis(10);
const MAX_PING_INTERVAL: Duration = Duration::from_secs(60);
/// The limit of queued cancel acknowledgements. The server repeats unacknowledged cancels.
const MAX_CANCEL_ACKS: usize = 100_000;

impl SessionState {
    /// Applies the response to Hello and queues the unsettled data of the lost stream.
    pub(crate) fn welcome(
        &mut self,
        now: Instant,
        welcome: &Welcome,
    ) -> Result<(), ProtocolViolation> {
        let hello_held = std::mem::take(&mut self.stream.hello_held);
        if welcome.held.len() != hello_held.len() {
            return Err(ProtocolViolation("Welcome.held and Hello.held differ in length"));
        }
        if welcome.session.is_empty() {
            return Err(ProtocolViolation("Welcome without a session"));
        }
        self.session.clone_from(&welcome.session);
        let ping = welcome.ping.as_ref().map_or(DEFAULT_PING_INTERVAL, std_duration);
        self.ping_interval = ping.clamp(MIN_PING_INTERVAL, MAX_PING_INTERVAL);
        self.stream.is_open = true;
        self.stream.supports_output =
            welcome.capabilities.iter().any(|name| name == OUTPUT_CAPABILITY);
        self.stream.last_received = now;
        self.stream.next_ping = now + self.ping_interval;
        for (local_id, verdict) in hello_held.into_iter().zip(&welcome.held) {
            match HeldVerdict::try_from(*verdict).unwrap_or_default() {
                // An unknown verdict is ignored: the one on the report follows.
                HeldVerdict::Keep | HeldVerdict::Unspecified => {}
                HeldVerdict::Revoked => self.lease_lost(now, local_id),
                HeldVerdict::AlreadyRecorded => self.already_recorded(now, local_id),
            }
        }
        self.queue_unsettled();
        Ok(())
    }

    fn already_recorded(&mut self, now: Instant, local_id: u64) {
        match self.held.get(&local_id) {
            Some(held) if held.is_running => self.lease_lost(now, local_id),
            _ => self.report_settled(local_id),
        }
    }

    fn queue_unsettled(&mut self) {
        let mut local_ids: Vec<u64> = self.held.keys().copied().collect();
        local_ids.sort_unstable();
        for local_id in local_ids {
            let Some(held) = self.held.get_mut(&local_id) else { continue };
            queue_data(held, &mut self.stream);
            if held.report.is_some() {
                held.is_report_queued = true;
                self.timers.clear(local_id, &mut held.timers, Timer::Resend);
                self.stream.reports.push_back(local_id);
            }
        }
    }

    /// Handles a frame, which also counts as a heartbeat. Returns the attempts to start.
    pub(crate) fn frame(
        &mut self,
        now: Instant,
        frame: SessionResponse,
    ) -> Result<Vec<Arc<ActiveAttempt>>, ProtocolViolation> {
        self.stream.last_received = now;
        match frame.frame {
            Some(Frame::Welcome(_)) => return Err(ProtocolViolation("a second Welcome")),
            Some(Frame::Assign(assign)) => return self.assign(now, assign),
            Some(Frame::ReportAck(ack)) => self.report_ack(now, ack),
            Some(Frame::CheckpointAck(ack)) => self.checkpoint_ack(now, &ack),
            Some(Frame::LogAck(ack)) => self.log_ack(&ack),
            Some(Frame::OutputAck(ack)) => self.output_ack(now, &ack),
            Some(Frame::Cancel(cancel)) => self.cancel(cancel.items),
            Some(Frame::Pong(pong)) => self.cancel(pong.cancels),
            Some(Frame::Revoked(revoked)) => self.revoked(now, &revoked),
            Some(Frame::DrainAck(ack)) => {
                self.stream.drain_acked = Some(ack.last_assign_seq);
                self.advance_drain(now);
            }
            Some(Frame::GoAway(go_away)) => {
                let within = go_away.reconnect_within.as_ref().map_or(Duration::ZERO, std_duration);
                self.stream.go_away = Some(within);
            }
            // A frame of a newer protocol version.
            None => {}
        }
        Ok(Vec::new())
    }

    /// Returns, once per GoAway, the time within which the worker should switch to another server.
    pub(crate) fn take_go_away(&mut self) -> Option<Duration> {
        self.stream.go_away.take()
    }

    fn assign(
        &mut self,
        now: Instant,
        assign: Assign,
    ) -> Result<Vec<Arc<ActiveAttempt>>, ProtocolViolation> {
        if assign.assign_seq <= self.stream.last_assign_seq && self.stream.last_assign_seq > 0 {
            // A repeated frame: its attempts are held already, only the acknowledgement was lost.
            self.stream.received_due = true;
            return Ok(Vec::new());
        }
        self.stream.last_assign_seq = assign.assign_seq;
        self.stream.received_due = true;
        let mut started = Vec::with_capacity(assign.items.len());
        for item in assign.items {
            if let Some(attempt) = self.accept_assignment(now, item)? {
                started.push(attempt);
            }
        }
        self.advance_drain(now);
        Ok(started)
    }

    fn accept_assignment(
        &mut self,
        now: Instant,
        mut item: Assignment,
    ) -> Result<Option<Arc<ActiveAttempt>>, ProtocolViolation> {
        let lease = item.lease.take().ok_or(ProtocolViolation("an assignment without a lease"))?;
        let had_credit = self.stream.granted_slots > 0;
        self.stream.granted_slots = self.stream.granted_slots.saturating_sub(1);
        self.stream.granted_bytes = self.stream.granted_bytes.saturating_sub(payload_bytes(&item));
        if self.by_lease.contains_key(&lease) {
            return Ok(None);
        }
        self.last_local_id += 1;
        let local_id = self.last_local_id;
        let run_timeout = item.run_timeout.as_ref().map(std_duration);
        let instance = self.info.instance.clone();
        let attempt = ActiveAttempt::new(local_id, lease, item, instance, self.dirty.clone());
        // Jobs that arrive during a drain or beyond the granted credit are released, not started.
        let starts = !self.drain.has_started() && had_credit && self.running < self.capacity.slots;
        let mut held = HeldAttempt {
            attempt: attempt.clone(),
            is_running: starts,
            has_lease: true,
            cancel_requested: false,
            report: None,
            is_report_queued: false,
            resends: 0,
            is_data_queued: false,
            is_progress_queued: false,
            awaits_log_ack: false,
            awaited_log_ack_at_reconnect: false,
            timers: [None; super::timers::KINDS],
        };
        if let (true, Some(timeout)) = (starts, run_timeout) {
            self.timers.set(local_id, &mut held.timers, Timer::RunTimeout, after(now, timeout));
        }
        self.held.insert(local_id, held);
        self.by_lease.insert(LeaseKey(attempt.clone()), local_id);
        if starts {
            self.running += 1;
            self.running_bytes += payload_bytes(&attempt.assignment);
            return Ok(Some(attempt));
        }
        self.report(local_id, report_item::Outcome::Released(Released {}));
        Ok(None)
    }

    fn find(&self, lease: Option<&Lease>) -> Option<u64> {
        lease.and_then(|lease| self.by_lease.get(lease)).copied()
    }

    /// Applies verdicts, including those that arrive on a stream that is being replaced.
    pub(crate) fn report_ack(&mut self, now: Instant, ack: ReportAck) {
        let acked = u32::try_from(ack.items.len()).unwrap_or(u32::MAX);
        self.stream.unacked_reports = self.stream.unacked_reports.saturating_sub(acked);
        self.stream.last_report_ack = now;
        for item in ack.items {
            let Some(local_id) = self.find(item.lease.as_ref()) else { continue };
            match item.verdict() {
                Verdict::Recorded | Verdict::Duplicate => self.report_settled(local_id),
                Verdict::Fenced => {
                    let job = item.lease.as_ref().map_or("", |lease| lease.job_id.as_str());
                    tracing::warn!(job, "report rejected: the attempt lost its lease");
                    self.lease_lost(now, local_id);
                }
                Verdict::RetryLater | Verdict::Unspecified => self.resend_later(now, local_id),
            }
        }
        self.advance_drain(now);
    }

    fn resend_later(&mut self, now: Instant, local_id: u64) {
        let Some(held) = self.held.get_mut(&local_id) else { return };
        held.is_report_queued = false;
        let delay = self.timings.resend().delay(held.resends, (self.random)());
        held.resends = held.resends.saturating_add(1);
        self.timers.set(local_id, &mut held.timers, Timer::Resend, now + delay);
    }

    fn checkpoint_ack(&mut self, now: Instant, ack: &CheckpointAck) {
        let Some(local_id) = self.find(ack.lease.as_ref()) else { return };
        let Some(held) = self.held.get(&local_id) else { return };
        let verdict = ack.verdict();
        if !held.attempt.ack_checkpoint(ack.seq, verdict) {
            self.resend_later(now, local_id);
        } else if verdict == Verdict::Fenced {
            self.lease_lost(now, local_id);
        }
    }

    fn output_ack(&mut self, now: Instant, ack: &OutputAck) {
        let Some(local_id) = self.find(ack.lease.as_ref()) else { return };
        let Some(held) = self.held.get(&local_id) else { return };
        if !held.attempt.ack_output(ack) {
            self.resend_later(now, local_id);
        } else if ack.verdict() == Verdict::Fenced {
            self.lease_lost(now, local_id);
        }
    }

    fn log_ack(&mut self, ack: &LogAck) {
        let Some(local_id) = self.find(ack.lease.as_ref()) else { return };
        let Some(held) = self.held.get_mut(&local_id) else { return };
        held.attempt.ack_log(ack.seq);
        queue_data(held, &mut self.stream);
        self.remove_if_done(local_id);
    }

    fn cancel(&mut self, items: Vec<CancelItem>) {
        for item in items {
            let Some(lease) = item.lease else { continue };
            if let Some(held) =
                self.by_lease.get(&lease).and_then(|local_id| self.held.get_mut(local_id))
                && held.has_lease
                && !std::mem::replace(&mut held.cancel_requested, true)
            {
                held.attempt.cancel();
            }
            // Unknown and finished attempts are acknowledged too; otherwise the server would repeat
            // the cancel.
            if self.stream.cancel_acks.len() < MAX_CANCEL_ACKS {
                self.stream.cancel_acks.push(lease);
            }
        }
    }

    /// Handles leases that the server has revoked.
    pub(crate) fn revoked(&mut self, now: Instant, revoked: &Revoked) {
        for lease in &revoked.leases {
            if let Some(local_id) = self.find(Some(lease)) {
                self.lease_lost(now, local_id);
            }
        }
        self.advance_drain(now);
    }
}
