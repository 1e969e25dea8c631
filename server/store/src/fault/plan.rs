//! Which request gets which fault: queued one by one, fixed for all, or random from a seed.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::Fault;
use crate::conformance::Rng;

/// The probability of each fault, in thousandths. A request gets at most one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FaultRates {
    pub lost_response: u64,
    pub lost_request: u64,
    pub unavailable: u64,
    pub full: u64,
    pub concurrent_update: u64,
    pub slow_request: u64,
    pub slow_response: u64,
    /// The longest delay of a slow request or response, in milliseconds.
    pub slow_max_ms: u64,
}

impl FaultRates {
    fn choose(&self, rng: &mut Rng) -> Option<Fault> {
        let slow = Duration::from_millis(rng.below(self.slow_max_ms.max(1)));
        let mut at = rng.below(1_000);
        let table = [
            (self.lost_response, Fault::LostResponse),
            (self.lost_request, Fault::LostRequest),
            (self.unavailable, Fault::Unavailable),
            (self.full, Fault::Full),
            (self.concurrent_update, Fault::ConcurrentUpdate),
            (self.slow_request, Fault::SlowRequest(slow)),
            (self.slow_response, Fault::SlowResponse(slow)),
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
struct State {
    once: VecDeque<Fault>,
    always: Option<Fault>,
    seeded: Option<(FaultRates, Rng)>,
    injected: u64,
}

/// The faults of one class of requests.
#[derive(Default)]
pub struct FaultPlan(Mutex<State>);

impl FaultPlan {
    fn state(&self) -> MutexGuard<'_, State> {
        // Every change under the lock is complete, so a poisoned state is still consistent.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues faults: each of the next requests that are not idle gets one.
    pub fn once(&self, faults: &[Fault]) {
        self.state().once.extend(faults);
    }

    /// Injects a fault into every request, before queued and random ones. `None` stops it.
    pub fn always(&self, fault: Option<Fault>) {
        self.state().always = fault;
    }

    /// Injects random faults. The same seed and requests get the same faults.
    pub fn seeded(&self, seed: u64, rates: FaultRates) {
        self.state().seeded = Some((rates, Rng::new(seed)));
    }

    /// Stops all faults.
    pub fn clear(&self) {
        let mut state = self.state();
        *state = State { injected: state.injected, ..State::default() };
    }

    /// Returns the number of faults injected so far.
    pub fn injected(&self) -> u64 {
        self.state().injected
    }

    /// Returns the fault of the next request. An idle request takes no queued fault: the periodic
    /// empty commit of a writer would otherwise use up the faults that a test has queued.
    pub(super) fn next(&self, is_idle: bool) -> Option<Fault> {
        let mut state = self.state();
        let takes_queued = !is_idle && state.always.is_none();
        let queued = if takes_queued { state.once.pop_front() } else { None };
        let fault = state.always.or(queued);
        let fault = match (&mut state.seeded, fault) {
            (Some((rates, rng)), None) => rates.choose(rng),
            _ => fault,
        }?;
        state.injected += 1;
        Some(fault)
    }
}
