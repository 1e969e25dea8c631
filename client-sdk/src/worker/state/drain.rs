//! Leaving in good order: no new jobs, then the running ones get their time, then what is left
//! is handed back, then the last acknowledgements, then Bye.

use std::time::Instant;

use super::SessionState;
use crate::proto::workers::v1::{Released, report_item};

/// How far a drain has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Drain {
    /// Jobs are taken.
    No,
    /// No new jobs; the running ones may go on until then.
    Waiting { until: Instant },
    /// The running handlers were told to stop and may return until then.
    Releasing { until: Instant },
    /// All is reported; the acknowledgements may come until then.
    LastAcks { until: Instant },
    /// Say Bye and leave.
    Done,
}

impl Drain {
    pub(super) fn has_begun(self) -> bool {
        self != Drain::No
    }

    pub(super) fn is_releasing(self) -> bool {
        matches!(self, Drain::Releasing { .. } | Drain::LastAcks { .. })
    }

    pub(super) fn next_wake(self) -> Option<Instant> {
        match self {
            Drain::No | Drain::Done => None,
            Drain::Waiting { until } | Drain::Releasing { until } | Drain::LastAcks { until } => {
                Some(until)
            }
        }
    }
}

impl SessionState {
    /// Begins to leave; `until` is when patience with running handlers ends.
    pub(crate) fn begin_drain(&mut self, now: Instant, until: Instant) {
        if !self.drain.has_begun() {
            self.drain = Drain::Waiting { until };
            self.advance_drain(now);
        }
    }

    /// Whether nothing is left to wait for.
    pub(crate) fn is_drained(&self) -> bool {
        self.drain == Drain::Done
    }

    pub(super) fn advance_drain(&mut self, now: Instant) {
        match self.drain {
            Drain::No | Drain::Done => {}
            Drain::Waiting { until } => {
                if self.may_leave() {
                    self.drain = Drain::Done;
                } else if now >= until {
                    for held in self.held.values().filter(|held| held.is_running) {
                        held.attempt.cancel();
                    }
                    self.drain = Drain::Releasing { until: now + self.tuning.release_grace };
                    self.advance_drain(now);
                }
            }
            Drain::Releasing { until } => {
                if self.unreported() == 0 || now >= until {
                    self.release_rest();
                    self.drain = Drain::LastAcks { until: now + self.tuning.last_acks_timeout };
                    self.advance_drain(now);
                }
            }
            Drain::LastAcks { until } => {
                if self.unacked == 0 || now >= until {
                    self.drain = Drain::Done;
                }
            }
        }
    }

    /// The server will assign nothing more, everything assigned has arrived and is settled.
    fn may_leave(&self) -> bool {
        let link = &self.link;
        let all_arrived = match (link.is_up, link.drain_acked) {
            (true, Some(last)) => link.last_assign_seq >= last,
            (true, None) => false,
            // Without a stream nothing can arrive; what was assigned on the lost one and never
            // received goes back to its queue by itself.
            (false, _) => true,
        };
        all_arrived && self.unreported() == 0 && self.unacked == 0
    }

    fn unreported(&self) -> usize {
        self.held
            .values()
            .filter(|held| held.is_running && held.lease_live && held.report.is_none())
            .count()
    }

    /// Hands back what still runs. Its handlers were told to stop and are dropped.
    fn release_rest(&mut self) {
        let rest = self.held.values().filter(|held| held.is_running && held.report.is_none());
        let mut nos: Vec<u64> = rest.map(|held| held.attempt.no).collect();
        nos.sort_unstable();
        for no in nos {
            let Some(held) = self.held.get(&no) else { continue };
            held.attempt.abort();
            if held.lease_live {
                self.report(no, report_item::Outcome::Released(Released {}));
            }
        }
    }
}
