//! Graceful shutdown: take no new jobs, give running ones time to finish, release the rest, wait
//! for the last acknowledgements, send Bye.

use std::time::Instant;

use super::SessionState;
use crate::proto::workers::v1::{Released, report_item};

/// The phase of a drain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DrainPhase {
    /// The worker takes jobs.
    NotStarted,
    /// The worker takes no new jobs; running ones may continue until then.
    WaitingForHandlers { until: Instant },
    /// The running handlers were cancelled and may return until then.
    Releasing { until: Instant },
    /// All attempts are reported; acknowledgements may arrive until then.
    AwaitingAcks { until: Instant },
    /// The worker can send Bye and exit.
    Complete,
}

impl DrainPhase {
    pub(super) fn has_started(self) -> bool {
        self != DrainPhase::NotStarted
    }

    pub(super) fn is_releasing(self) -> bool {
        matches!(self, DrainPhase::Releasing { .. } | DrainPhase::AwaitingAcks { .. })
    }

    pub(super) fn next_wake(self) -> Option<Instant> {
        match self {
            DrainPhase::NotStarted | DrainPhase::Complete => None,
            DrainPhase::WaitingForHandlers { until }
            | DrainPhase::Releasing { until }
            | DrainPhase::AwaitingAcks { until } => Some(until),
        }
    }
}

impl SessionState {
    /// Starts the drain; running handlers may continue until `until`.
    pub(crate) fn begin_drain(&mut self, now: Instant, until: Instant) {
        if !self.drain.has_started() {
            self.drain = DrainPhase::WaitingForHandlers { until };
            self.advance_drain(now);
        }
    }

    pub(crate) fn is_drained(&self) -> bool {
        self.drain == DrainPhase::Complete
    }

    pub(super) fn advance_drain(&mut self, now: Instant) {
        match self.drain {
            DrainPhase::NotStarted | DrainPhase::Complete => {}
            DrainPhase::WaitingForHandlers { until } => {
                if self.all_settled() {
                    self.drain = DrainPhase::Complete;
                } else if now >= until {
                    for held in self.held.values().filter(|held| held.is_running) {
                        held.attempt.cancel();
                    }
                    self.drain = DrainPhase::Releasing { until: now + self.timings.release_grace };
                    self.advance_drain(now);
                }
            }
            DrainPhase::Releasing { until } => {
                if self.running_without_report() == 0 || now >= until {
                    self.release_running();
                    let until = now + self.timings.final_ack_timeout;
                    self.drain = DrainPhase::AwaitingAcks { until };
                    self.advance_drain(now);
                }
            }
            DrainPhase::AwaitingAcks { until } => {
                if self.unsettled_reports == 0 || now >= until {
                    self.drain = DrainPhase::Complete;
                }
            }
        }
    }

    /// Whether the server assigns nothing more and everything that it assigned is settled.
    fn all_settled(&self) -> bool {
        let stream = &self.stream;
        let all_received = match (stream.is_open, stream.drain_acked) {
            (true, Some(last)) => stream.last_assign_seq >= last,
            (true, None) => false,
            // Nothing arrives without a stream. Assignments that were lost with it go back to their
            // queue.
            (false, _) => true,
        };
        all_received && self.running_without_report() == 0 && self.unsettled_reports == 0
    }

    fn running_without_report(&self) -> usize {
        self.held
            .values()
            .filter(|held| held.is_running && held.has_lease && held.report.is_none())
            .count()
    }

    /// Releases the jobs that still run and aborts their handlers, which were cancelled before.
    fn release_running(&mut self) {
        let running = self.held.values().filter(|held| held.is_running && held.report.is_none());
        let mut local_ids: Vec<u64> = running.map(|held| held.attempt.local_id).collect();
        local_ids.sort_unstable();
        for local_id in local_ids {
            let Some(held) = self.held.get(&local_id) else { continue };
            held.attempt.abort();
            if held.has_lease {
                self.report(local_id, report_item::Outcome::Released(Released {}));
            }
        }
    }
}
