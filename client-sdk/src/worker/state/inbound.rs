//! What the server's frames do. Everything may come twice, late, or about attempts that this
//! process no longer knows; none of that is an error.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::super::attempt::Attempt;
use super::timers::Timer;
use super::{ByLease, Held, SessionState, Violation, payload_bytes, queue_side};
use crate::proto::workers::v1::{
    Assign, Assignment, CancelItem, CheckpointAck, HeldVerdict, LogAck, OutputAck, Released,
    ReportAck, Revoked, SessionResponse, Verdict, Welcome, report_item, session_response::Frame,
};
use crate::time::std_duration;

/// The capability of a server that takes Output.
const OUTPUT: &str = "output";

const DEFAULT_PING: Duration = Duration::from_secs(2);
/// A server that asks for pings more often than this is answered at this pace.
const MIN_PING: Duration = Duration::from_millis(10);
const MAX_PING: Duration = Duration::from_secs(60);
/// Waiting acknowledgements of cancels; what is over comes again with the next Pong.
const MAX_CANCEL_ACKS: usize = 100_000;

impl SessionState {
    /// Takes the answer to Hello and queues what the lost stream had not settled.
    pub(crate) fn welcome(&mut self, now: Instant, welcome: &Welcome) -> Result<(), Violation> {
        let asked = std::mem::take(&mut self.link.hello_held);
        if welcome.held.len() != asked.len() {
            return Err(Violation("Welcome.held has another length than Hello.held"));
        }
        if welcome.session.is_empty() {
            return Err(Violation("Welcome without a session"));
        }
        self.session.clone_from(&welcome.session);
        let ping = welcome.ping.as_ref().map_or(DEFAULT_PING, std_duration);
        self.ping_interval = ping.clamp(MIN_PING, MAX_PING);
        self.link.is_up = true;
        self.link.takes_output = welcome.capabilities.iter().any(|name| name == OUTPUT);
        self.link.last_heard = now;
        self.link.next_ping = now + self.ping_interval;
        for (no, verdict) in asked.into_iter().zip(&welcome.held) {
            match HeldVerdict::try_from(*verdict).unwrap_or_default() {
                // An unknown verdict: the one on the report will tell.
                HeldVerdict::Keep | HeldVerdict::Unspecified => {}
                HeldVerdict::Revoked => self.lose(now, no),
                HeldVerdict::AlreadyRecorded => self.already_recorded(now, no),
            }
        }
        self.requeue();
        Ok(())
    }

    fn already_recorded(&mut self, now: Instant, no: u64) {
        match self.held.get(&no) {
            Some(held) if held.is_running => self.lose(now, no),
            _ => self.settle(no),
        }
    }

    fn requeue(&mut self) {
        let mut nos: Vec<u64> = self.held.keys().copied().collect();
        nos.sort_unstable();
        for no in nos {
            let Some(held) = self.held.get_mut(&no) else { continue };
            queue_side(held, &mut self.link);
            if held.report.is_some() {
                held.is_reporting = true;
                self.timers.clear(no, &mut held.timers, Timer::Resend);
                self.link.reports.push_back(no);
            }
        }
    }

    /// Any frame is a sign of life. Answers the attempts to start.
    pub(crate) fn frame(
        &mut self,
        now: Instant,
        frame: SessionResponse,
    ) -> Result<Vec<Arc<Attempt>>, Violation> {
        self.link.last_heard = now;
        match frame.frame {
            Some(Frame::Welcome(_)) => return Err(Violation("a second Welcome")),
            Some(Frame::Assign(assign)) => return self.assign(now, assign),
            Some(Frame::ReportAck(ack)) => self.report_ack(now, ack),
            Some(Frame::CheckpointAck(ack)) => self.checkpoint_ack(now, &ack),
            Some(Frame::LogAck(ack)) => self.log_ack(&ack),
            Some(Frame::OutputAck(ack)) => self.output_ack(now, &ack),
            Some(Frame::Cancel(cancel)) => self.cancel(cancel.items),
            Some(Frame::Pong(pong)) => self.cancel(pong.cancels),
            Some(Frame::Revoked(revoked)) => self.revoked(now, &revoked),
            Some(Frame::DrainAck(ack)) => {
                self.link.drain_acked = Some(ack.last_assign_seq);
                self.advance_drain(now);
            }
            Some(Frame::GoAway(go_away)) => {
                let within = go_away.reconnect_within.as_ref().map_or(Duration::ZERO, std_duration);
                self.link.go_away = Some(within);
            }
            // A frame of a later version: the capabilities of Hello did not ask for it.
            None => {}
        }
        Ok(Vec::new())
    }

    /// How soon the server wants to be left, once after each GoAway.
    pub(crate) fn take_go_away(&mut self) -> Option<Duration> {
        self.link.go_away.take()
    }

    fn assign(&mut self, now: Instant, assign: Assign) -> Result<Vec<Arc<Attempt>>, Violation> {
        if assign.assign_seq <= self.link.last_assign_seq && self.link.last_assign_seq > 0 {
            // A repeat: what it carried is held already; it only wants to be told so.
            self.link.received_due = true;
            return Ok(Vec::new());
        }
        self.link.last_assign_seq = assign.assign_seq;
        self.link.received_due = true;
        let mut starts = Vec::with_capacity(assign.items.len());
        for item in assign.items {
            if let Some(attempt) = self.take_assignment(now, item)? {
                starts.push(attempt);
            }
        }
        self.advance_drain(now);
        Ok(starts)
    }

    fn take_assignment(
        &mut self,
        now: Instant,
        mut item: Assignment,
    ) -> Result<Option<Arc<Attempt>>, Violation> {
        let lease = item.lease.take().ok_or(Violation("an assignment without a lease"))?;
        let had_credit = self.link.credit_out > 0;
        self.link.credit_out = self.link.credit_out.saturating_sub(1);
        self.link.bytes_out = self.link.bytes_out.saturating_sub(payload_bytes(&item));
        if self.by_lease.contains_key(&lease) {
            return Ok(None);
        }
        self.last_no += 1;
        let no = self.last_no;
        let run_timeout = item.run_timeout.as_ref().map(std_duration);
        let instance = self.identity.instance.clone();
        let attempt = Attempt::new(no, lease, item, instance, self.dirty.clone());
        // Not started: after Drain nothing new begins, and a server that sends more than it was
        // granted must not make this process grow.
        let starts = !self.drain.has_begun() && had_credit && self.running < self.room.slots;
        let mut held = Held {
            attempt: attempt.clone(),
            is_running: starts,
            lease_live: true,
            cancel_requested: false,
            report: None,
            is_reporting: false,
            resends: 0,
            is_in_side: false,
            is_in_progress: false,
            is_lingering: false,
            broke_while_lingering: false,
            timers: [None; super::timers::KINDS],
        };
        if let (true, Some(timeout)) = (starts, run_timeout) {
            self.timers.set(no, &mut held.timers, Timer::RunTimeout, now + timeout);
        }
        self.held.insert(no, held);
        self.by_lease.insert(ByLease(attempt.clone()), no);
        if starts {
            self.running += 1;
            self.running_bytes += payload_bytes(&attempt.assignment);
            return Ok(Some(attempt));
        }
        self.report(no, report_item::Outcome::Released(Released {}));
        Ok(None)
    }

    /// Verdicts also count when they come on a stream that is being left.
    pub(crate) fn report_ack(&mut self, now: Instant, ack: ReportAck) {
        let acked = u32::try_from(ack.items.len()).unwrap_or(u32::MAX);
        self.link.in_flight = self.link.in_flight.saturating_sub(acked);
        self.link.waits_since = now;
        for item in ack.items {
            let Some(no) = item.lease.as_ref().and_then(|lease| self.by_lease.get(lease)).copied()
            else {
                continue;
            };
            match item.verdict() {
                Verdict::Recorded | Verdict::Duplicate => self.settle(no),
                Verdict::Fenced => {
                    let job = item.lease.as_ref().map_or("", |lease| lease.job_id.as_str());
                    tracing::warn!(job, "report fenced: the lease was lost before");
                    self.lose(now, no);
                }
                Verdict::RetryLater | Verdict::Unspecified => self.resend_later(now, no),
            }
        }
        self.advance_drain(now);
    }

    fn resend_later(&mut self, now: Instant, no: u64) {
        let Some(held) = self.held.get_mut(&no) else { return };
        held.is_reporting = false;
        let pause = self.tuning.resend().delay(held.resends, (self.random)());
        held.resends = held.resends.saturating_add(1);
        self.timers.set(no, &mut held.timers, Timer::Resend, now + pause);
    }

    fn checkpoint_ack(&mut self, now: Instant, ack: &CheckpointAck) {
        let Some(no) = ack.lease.as_ref().and_then(|lease| self.by_lease.get(lease)).copied()
        else {
            return;
        };
        let Some(held) = self.held.get(&no) else { return };
        let verdict = ack.verdict();
        if !held.attempt.ack_checkpoint(ack.seq, verdict) {
            self.resend_later(now, no);
        } else if verdict == Verdict::Fenced {
            self.lose(now, no);
        }
    }

    fn output_ack(&mut self, now: Instant, ack: &OutputAck) {
        let Some(no) = ack.lease.as_ref().and_then(|lease| self.by_lease.get(lease)).copied()
        else {
            return;
        };
        let Some(held) = self.held.get(&no) else { return };
        if !held.attempt.ack_output(ack) {
            self.resend_later(now, no);
        } else if ack.verdict() == Verdict::Fenced {
            self.lose(now, no);
        }
    }

    fn log_ack(&mut self, ack: &LogAck) {
        let Some(no) = ack.lease.as_ref().and_then(|lease| self.by_lease.get(lease)).copied()
        else {
            return;
        };
        let Some(held) = self.held.get_mut(&no) else { return };
        held.attempt.ack_log(ack.seq);
        queue_side(held, &mut self.link);
        self.forget_if_done(no);
    }

    fn cancel(&mut self, items: Vec<CancelItem>) {
        for item in items {
            let Some(lease) = item.lease else { continue };
            if let Some(held) = self.by_lease.get(&lease).and_then(|no| self.held.get_mut(no))
                && held.lease_live
                && !std::mem::replace(&mut held.cancel_requested, true)
            {
                held.attempt.cancel();
            }
            // Acknowledged also when the handler has ended or was never here: only the answer
            // stops the repeats.
            if self.link.cancel_acks.len() < MAX_CANCEL_ACKS {
                self.link.cancel_acks.push(lease);
            }
        }
    }

    /// Leases that the server has taken back.
    pub(crate) fn revoked(&mut self, now: Instant, revoked: &Revoked) {
        for lease in &revoked.leases {
            if let Some(no) = self.by_lease.get(lease).copied() {
                self.lose(now, no);
            }
        }
        self.advance_drain(now);
    }
}
