//! The moments at which a held attempt needs attention. Entries are removed when they no longer
//! apply: with long timeouts and short jobs, stale ones would pile up.

use std::collections::BTreeSet;
use std::time::Instant;

use super::super::outcome::{Outcome, timed_out};
use super::{SessionState, queue_side};
use crate::time::std_duration;

pub(super) const KINDS: usize = 3;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Timer {
    /// The attempt reaches its run_timeout.
    RunTimeout,
    /// A handler that was told to stop is dropped.
    Abandon,
    /// A report, checkpoint or piece of output goes out again.
    Resend,
}

impl Timer {
    pub(super) const ALL: [Timer; KINDS] = [Timer::RunTimeout, Timer::Abandon, Timer::Resend];
}

#[derive(Default)]
pub(super) struct Timers {
    set: BTreeSet<(Instant, u64, Timer)>,
}

impl Timers {
    pub(super) fn set(
        &mut self,
        no: u64,
        slots: &mut [Option<Instant>; KINDS],
        timer: Timer,
        at: Instant,
    ) {
        self.clear(no, slots, timer);
        slots[timer as usize] = Some(at);
        self.set.insert((at, no, timer));
    }

    pub(super) fn clear(&mut self, no: u64, slots: &mut [Option<Instant>; KINDS], timer: Timer) {
        if let Some(at) = slots[timer as usize].take() {
            self.set.remove(&(at, no, timer));
        }
    }

    fn next(&self) -> Option<Instant> {
        self.set.first().map(|(at, _, _)| *at)
    }
}

impl SessionState {
    /// Does what is due.
    pub(crate) fn advance(&mut self, now: Instant) {
        while let Some((at, no, timer)) = self.timers.set.first().copied() {
            if at > now {
                break;
            }
            match self.held.get_mut(&no) {
                Some(held) => self.timers.clear(no, &mut held.timers, timer),
                None => {
                    self.timers.set.remove(&(at, no, timer));
                }
            }
            match timer {
                Timer::RunTimeout => self.time_out(now, no),
                Timer::Abandon => {
                    if let Some(held) = self.held.get(&no) {
                        held.attempt.abort();
                    }
                }
                Timer::Resend => self.resend(no),
            }
        }
        self.advance_drain(now);
    }

    /// Whether the stream counts as dead.
    pub(crate) fn is_silent(&self, now: Instant) -> bool {
        self.link.is_up && now >= self.link.last_heard + self.silence_bound()
    }

    /// Whether reports wait for their acknowledgements so long that only another Hello helps: its
    /// verdicts settle what this stream does not.
    pub(crate) fn is_ignored(&self, now: Instant) -> bool {
        let link = &self.link;
        link.is_up && link.in_flight > 0 && now >= link.waits_since + self.tuning.ack_timeout
    }

    /// A server that pings seldom must not look dead between two pings.
    fn silence_bound(&self) -> std::time::Duration {
        self.tuning.silence.max(self.ping_interval * 5 / 2)
    }

    /// When `advance`, `is_silent` or, if `can_send`, `next_frame` may have something new to say.
    pub(crate) fn next_wake(&self, can_send: bool) -> Option<Instant> {
        let link = &self.link;
        let mut wake = [self.timers.next(), self.drain.next_wake(), None, None, None, None, None];
        if link.is_up {
            wake[2] = Some(link.last_heard + self.silence_bound());
            wake[6] = (link.in_flight > 0).then_some(link.waits_since + self.tuning.ack_timeout);
        }
        if link.is_up && can_send {
            wake[3] = Some(link.next_ping);
            if !link.reports.is_empty() || self.has_room_to_grant() {
                wake[4] = Some(link.last_flush + self.tuning.flush_interval);
            }
            if !link.progress.is_empty() {
                wake[5] = Some(link.last_progress + self.tuning.progress_interval);
            }
        }
        wake.into_iter().flatten().min()
    }

    fn time_out(&mut self, now: Instant, no: u64) {
        let Some(held) = self.held.get_mut(&no) else { return };
        if !held.is_running || !held.lease_live || held.report.is_some() {
            return;
        }
        let limit = held.attempt.assignment.run_timeout.as_ref().map(std_duration);
        held.attempt.cancel();
        let at = now + self.tuning.abandon_grace;
        self.timers.set(no, &mut held.timers, Timer::Abandon, at);
        let outcome = match held.cancel_requested {
            true => Outcome::Cancelled.into_wire(),
            false => timed_out(limit.unwrap_or_default()),
        };
        self.report(no, outcome);
    }

    fn resend(&mut self, no: u64) {
        let Some(held) = self.held.get_mut(&no) else { return };
        if !self.link.is_up {
            return;
        }
        if held.report.is_some() && !std::mem::replace(&mut held.is_reporting, true) {
            self.link.reports.push_back(no);
        }
        held.attempt.unsend();
        queue_side(held, &mut self.link);
    }
}
