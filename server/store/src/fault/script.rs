//! Which call meets which fault: told one by one, told for all, or thrown from a seed.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::Fault;
use crate::conformance::Entropy;

/// Chances in a thousand that a call meets each fault; at most one of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Odds {
    pub lost_reply: u64,
    pub lost_call: u64,
    pub unavailable: u64,
    pub full: u64,
    pub competitor: u64,
    pub slow_call: u64,
    pub slow_reply: u64,
    /// The longest wait of a slow one.
    pub slow_max_ms: u64,
}

impl Odds {
    fn throw(&self, entropy: &mut Entropy) -> Option<Fault> {
        let slow = Duration::from_millis(entropy.below(self.slow_max_ms.max(1)));
        let mut at = entropy.below(1_000);
        let table = [
            (self.lost_reply, Fault::LostReply),
            (self.lost_call, Fault::LostCall),
            (self.unavailable, Fault::Unavailable),
            (self.full, Fault::Full),
            (self.competitor, Fault::Competitor),
            (self.slow_call, Fault::SlowCall(slow)),
            (self.slow_reply, Fault::SlowReply(slow)),
        ];
        for (share, fault) in table {
            if at < share {
                return Some(fault);
            }
            at -= share;
        }
        None
    }
}

#[derive(Default)]
struct Plan {
    once: VecDeque<Fault>,
    always: Option<Fault>,
    seeded: Option<(Odds, Entropy)>,
    met: u64,
}

/// The faults that one kind of call meets.
#[derive(Default)]
pub struct Script(Mutex<Plan>);

impl Script {
    fn plan(&self) -> MutexGuard<'_, Plan> {
        // Every change under the lock is complete, so a panic elsewhere poisons nothing.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Met by the next calls that ask for something, one each.
    pub fn once(&self, faults: &[Fault]) {
        self.plan().once.extend(faults);
    }

    /// Met by all calls until told otherwise; it goes before all others.
    pub fn always(&self, fault: Option<Fault>) {
        self.plan().always = fault;
    }

    /// Thrown anew for each call, the same ones for the same seed and calls.
    pub fn seeded(&self, seed: u64, odds: Odds) {
        self.plan().seeded = Some((odds, Entropy::new(seed)));
    }

    /// No more faults.
    pub fn heal(&self) {
        let mut plan = self.plan();
        *plan = Plan { met: plan.met, ..Plan::default() };
    }

    /// How many were met.
    pub fn met(&self) -> u64 {
        self.plan().met
    }

    /// What the next call meets. One that asks for nothing spends no single fault: the
    /// idle beat of a writer would swallow what a test has planned.
    pub(super) fn next(&self, asks: bool) -> Option<Fault> {
        let mut plan = self.plan();
        let single = if asks && plan.always.is_none() { plan.once.pop_front() } else { None };
        let fault = plan.always.or(single);
        let fault = match (&mut plan.seeded, fault) {
            (Some((odds, entropy)), None) => odds.throw(entropy),
            _ => fault,
        }?;
        plan.met += 1;
        Some(fault)
    }
}
