//! The timers of held attempts. A timer is removed as soon as it no longer applies; otherwise stale
//! timers would accumulate with long timeouts and short jobs.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::super::outcome::{Outcome, timed_out};
use super::{SessionState, queue_data};
use crate::time::{after, std_duration};

pub(super) const KINDS: usize = 3;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Timer {
    /// The attempt exceeds its run_timeout.
    RunTimeout,
    /// A cancelled handler is dropped.
    Abort,
    /// A report, a checkpoint or an output chunk is sent again.
    Resend,
}

impl Timer {
    pub(super) const ALL: [Timer; KINDS] = [Timer::RunTimeout, Timer::Abort, Timer::Resend];
}

#[derive(Default)]
pub(super) struct Timers {
    entries: BTreeSet<(Instant, u64, Timer)>,
}

impl Timers {
    pub(super) fn set(
        &mut self,
        local_id: u64,
        times: &mut [Option<Instant>; KINDS],
        timer: Timer,
        at: Instant,
    ) {
        self.clear(local_id, times, timer);
        times[timer as usize] = Some(at);
        self.entries.insert((at, local_id, timer));
    }

    pub(super) fn clear(
        &mut self,
        local_id: u64,
        times: &mut [Option<Instant>; KINDS],
        timer: Timer,
    ) {
        if let Some(at) = times[timer as usize].take() {
            self.entries.remove(&(at, local_id, timer));
        }
    }

    fn next(&self) -> Option<Instant> {
        self.entries.first().map(|(at, _, _)| *at)
    }
}

impl SessionState {
    /// Handles all due timers and advances the drain.
    pub(crate) fn advance(&mut self, now: Instant) {
        while let Some((at, local_id, timer)) = self.timers.entries.first().copied() {
            if at > now {
                break;
            }
            match self.held.get_mut(&local_id) {
                Some(held) => self.timers.clear(local_id, &mut held.timers, timer),
                None => {
                    self.timers.entries.remove(&(at, local_id, timer));
                }
            }
            match timer {
                Timer::RunTimeout => self.time_out(now, local_id),
                Timer::Abort => {
                    if let Some(held) = self.held.get(&local_id) {
                        held.attempt.abort();
                    }
                }
                Timer::Resend => self.resend(local_id),
            }
        }
        self.advance_drain(now);
    }

    /// Whether the server has sent no frame for so long that the stream is considered dead.
    pub(crate) fn is_silent(&self, now: Instant) -> bool {
        self.stream.is_open && now >= self.stream.last_received + self.silence_timeout()
    }

    /// Whether reports are unacknowledged for so long that the session must reconnect: the verdicts
    /// in the next Welcome settle them.
    pub(crate) fn is_ack_overdue(&self, now: Instant) -> bool {
        let stream = &self.stream;
        stream.is_open
            && stream.unacked_reports > 0
            && now >= stream.last_report_ack + self.timings.ack_timeout
    }

    /// At least 2.5 ping intervals, so that a server with a long interval is not considered dead.
    fn silence_timeout(&self) -> Duration {
        self.timings.silence_timeout.max(self.ping_interval * 5 / 2)
    }

    /// The next time at which `advance`, `is_silent`, `is_ack_overdue` or, if `can_send`,
    /// `next_frame` may have a different result.
    pub(crate) fn next_wake(&self, can_send: bool) -> Option<Instant> {
        let stream = &self.stream;
        let mut wake = [self.timers.next(), self.drain.next_wake(), None, None, None, None, None];
        if stream.is_open {
            wake[2] = Some(stream.last_received + self.silence_timeout());
            wake[6] = (stream.unacked_reports > 0)
                .then_some(stream.last_report_ack + self.timings.ack_timeout);
        }
        if stream.is_open && can_send {
            wake[3] = Some(stream.next_ping);
            if !stream.reports.is_empty() || self.has_available_credit() {
                wake[4] = Some(stream.last_flush + self.timings.flush_interval);
            }
            if !stream.progress.is_empty() {
                wake[5] = Some(stream.last_progress + self.timings.progress_interval);
            }
        }
        wake.into_iter().flatten().min()
    }

    fn time_out(&mut self, now: Instant, local_id: u64) {
        let Some(held) = self.held.get_mut(&local_id) else { return };
        if !held.is_running || !held.has_lease || held.report.is_some() {
            return;
        }
        let limit = held.attempt.assignment.run_timeout.as_ref().map(std_duration);
        let limit = limit.unwrap_or_default();
        // The time before the handler got a thread does not count.
        let at = after(held.attempt.began_at().unwrap_or(now), limit);
        if at > now {
            self.timers.set(local_id, &mut held.timers, Timer::RunTimeout, at);
            return;
        }
        held.attempt.cancel();
        let at = now + self.timings.abort_grace;
        self.timers.set(local_id, &mut held.timers, Timer::Abort, at);
        let outcome = match held.cancel_requested {
            true => Outcome::Cancelled.into_wire(),
            false => timed_out(limit),
        };
        self.report(local_id, outcome);
    }

    fn resend(&mut self, local_id: u64) {
        let Some(held) = self.held.get_mut(&local_id) else { return };
        if !self.stream.is_open {
            return;
        }
        if held.report.is_some() && !std::mem::replace(&mut held.is_report_queued, true) {
            self.stream.reports.push_back(local_id);
        }
        held.attempt.rewind_checkpoint_and_output();
        queue_data(held, &mut self.stream);
    }
}
