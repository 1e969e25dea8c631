//! The credits of worker sessions, and which sessions claim jobs with the next commit.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};

use sentinel_domain::{Job, Name, SessionId};
use sentinel_store::Claim;
use tokio::sync::Notify;

use crate::runtime::lock;

/// The most jobs that all claims of one commit take.
const CLAIM_MAX: usize = 2_048;

/// The most queues and kinds that are remembered during one commit.
const PENDING_WAKES_MAX: usize = 256;

/// What one session can run, and its free capacity.
pub(crate) struct SessionCapacity {
    pub(crate) worker: Name,
    pub(crate) queues: Arc<[Name]>,
    /// Sorted.
    pub(crate) kinds: Arc<[Name]>,
    credits: Credits,
    /// The last claim returned fewer jobs than it asked for, and no fitting job has become ready
    /// since.
    is_starved: bool,
    /// The session claims nothing, whatever its credits.
    is_paused: bool,
}

#[derive(Clone, Copy, Default)]
struct Credits {
    jobs: usize,
    /// None: no limit.
    bytes: Option<i64>,
}

/// The capacity of all sessions of this server.
#[derive(Default)]
pub(crate) struct ClaimScheduler {
    state: Mutex<State>,
    woken: Notify,
}

#[derive(Default)]
struct State {
    /// Sorted, so that the order of turns depends on the sessions alone.
    by_session: BTreeMap<SessionId, SessionCapacity>,
    /// Queues and kinds that peers made ready during a commit, which may not have seen them.
    pending_wakes: Vec<(Name, Name)>,
    /// There were too many of them: every session claims again.
    wakes_all: bool,
    /// The session that claims first.
    turn: usize,
}

impl State {
    /// Ends the starvation of the sessions that `concerns` selects. Returns whether any of them
    /// has credits.
    fn wake(&mut self, concerns: impl Fn(&SessionCapacity) -> bool) -> bool {
        let mut has_woken = false;
        for session in self.by_session.values_mut().filter(|s| s.is_starved) {
            session.is_starved = !concerns(session);
            has_woken |= session.wants_jobs();
        }
        has_woken
    }
}

impl SessionCapacity {
    pub(crate) fn new(worker: Name, queues: Arc<[Name]>, kinds: Arc<[Name]>) -> Self {
        let credits = Credits::default();
        Self { worker, queues, kinds, credits, is_starved: false, is_paused: false }
    }

    fn serves(&self, queue: &Name, kind: &Name) -> bool {
        self.queues.contains(queue) && self.kinds.binary_search(kind).is_ok()
    }

    fn serves_any(&self, ready: &[(Name, Name)]) -> bool {
        ready.iter().any(|(queue, kind)| self.serves(queue, kind))
    }

    fn wants_jobs(&self) -> bool {
        !self.is_starved
            && !self.is_paused
            && self.credits.jobs > 0
            && self.credits.bytes.is_none_or(|bytes| bytes > 0)
    }
}

impl ClaimScheduler {
    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    pub(crate) fn join(&self, session: SessionId, capacity: SessionCapacity) {
        self.lock().by_session.insert(session, capacity);
    }

    pub(crate) fn leave(&self, session: SessionId) {
        self.lock().by_session.remove(&session);
    }

    /// Adds credits; `bytes` of None removes the limit on bytes.
    pub(crate) fn grant(&self, session: SessionId, jobs: usize, bytes: Option<i64>) {
        if let Some(session) = self.lock().by_session.get_mut(&session) {
            let max = sentinel_domain::limits::WORKER_CREDITS as usize;
            let credits = &mut session.credits;
            credits.jobs = (credits.jobs + jobs).min(max);
            credits.bytes = match (credits.bytes, bytes) {
                (Some(had), Some(more)) => Some(had.saturating_add(more)),
                (None, more) if credits.jobs == jobs => more,
                _ => None,
            };
            session.is_starved = false;
        }
        self.woken.notify_one();
    }

    /// Stops or resumes the claims of a session. It keeps its credits.
    pub(crate) fn pause(&self, session: SessionId, is_paused: bool) {
        if let Some(session) = self.lock().by_session.get_mut(&session) {
            session.is_paused = is_paused;
            session.is_starved = false;
        }
        self.woken.notify_one();
    }

    /// Returns the credits of jobs that were claimed and not sent.
    pub(crate) fn refund(&self, session: SessionId, jobs: &[Arc<Job>]) {
        if let Some(session) = self.lock().by_session.get_mut(&session) {
            session.credits.jobs += jobs.len();
            if let Some(bytes) = &mut session.credits.bytes {
                *bytes += jobs.iter().map(|job| job.spec.payload.len() as i64).sum::<i64>();
            }
        }
    }

    /// Withdraws all credits of a session.
    pub(crate) fn close(&self, session: SessionId) {
        if let Some(session) = self.lock().by_session.get_mut(&session) {
            session.credits = Credits::default();
        }
    }

    /// Waits until a session may have begun to want jobs.
    pub(crate) async fn woken(&self) {
        self.woken.notified().await;
    }

    pub(crate) fn has_claims(&self) -> bool {
        self.lock().by_session.values().any(SessionCapacity::wants_jobs)
    }

    /// Returns the claims of the next commit, each time beginning with another session.
    pub(crate) fn claims(&self) -> Vec<Claim> {
        let mut state = self.lock();
        state.pending_wakes.clear();
        state.wakes_all = false;
        state.turn = state.turn.wrapping_add(1);
        let willing: Vec<_> = state.by_session.iter().filter(|(_, s)| s.wants_jobs()).collect();
        if willing.is_empty() {
            return Vec::new();
        }
        let share = (CLAIM_MAX / willing.len()).max(1);
        let turn = state.turn % willing.len();
        let in_turn = willing[turn..].iter().chain(&willing[..turn]).take(CLAIM_MAX);
        let claim = |(id, session): &(&SessionId, &SessionCapacity)| Claim {
            session: **id,
            worker: session.worker.clone(),
            queues: session.queues.clone(),
            kinds: session.kinds.clone(),
            max_jobs: session.credits.jobs.min(share),
            max_bytes: session.credits.bytes.map_or(u64::MAX, |b| b.max(1).cast_unsigned()),
        };
        in_turn.map(claim).collect()
    }

    /// Subtracts what was claimed. A session that received fewer jobs than it asked for is
    /// starved until a fitting job becomes ready.
    pub(crate) fn settle(&self, asked: &[(SessionId, usize)], claimed: &[Vec<Arc<Job>>]) {
        let mut state = self.lock();
        for ((session, max_jobs), jobs) in asked.iter().zip(claimed) {
            let Some(session) = state.by_session.get_mut(session) else { continue };
            let credits = &mut session.credits;
            credits.jobs = credits.jobs.saturating_sub(jobs.len());
            if let Some(bytes) = &mut credits.bytes {
                let took: usize = jobs.iter().map(|job| job.spec.payload.len()).sum();
                *bytes -= took as i64;
            }
            let has_bytes = credits.bytes.is_none_or(|bytes| bytes > 0);
            session.is_starved = jobs.len() < *max_jobs && has_bytes;
        }
        if state.wakes_all {
            state.wake(|_| true);
        } else if !state.pending_wakes.is_empty() {
            let ready = std::mem::take(&mut state.pending_wakes);
            state.wake(|session| session.serves_any(&ready));
        }
    }

    /// Wakes the sessions for jobs that a peer made ready. Unlike [`Self::wake_local`] it also
    /// applies to sessions whose claim is under way.
    pub(crate) fn wake(&self, ready: &[(Name, Name)]) {
        let mut state = self.lock();
        let has_woken = state.wake(|session| session.serves_any(ready));
        if state.pending_wakes.len() + ready.len() > PENDING_WAKES_MAX {
            state.wakes_all = true;
        } else {
            state.pending_wakes.extend_from_slice(ready);
        }
        drop(state);
        if has_woken {
            self.woken.notify_one();
        }
    }

    /// Wakes every session: peers may have made any job ready.
    pub(crate) fn wake_all(&self) {
        let mut state = self.lock();
        let has_woken = state.wake(|_| true);
        state.wakes_all = true;
        drop(state);
        if has_woken {
            self.woken.notify_one();
        }
    }

    /// Wakes the sessions for jobs that the commit loop made ready itself.
    pub(crate) fn wake_local(&self, ready: &[(Name, Name)]) {
        if !ready.is_empty() {
            self.lock().wake(|session| session.serves_any(ready));
        }
    }

    /// Ends the starvation of every session. Only the commit loop calls it.
    pub(crate) fn wake_all_local(&self) {
        self.lock().wake(|_| true);
    }

    /// Returns the kinds that any session handles.
    pub(crate) fn kinds(&self) -> Vec<Name> {
        let state = self.lock();
        let all: BTreeSet<Name> =
            state.by_session.values().flat_map(|session| session.kinds.iter().cloned()).collect();
        all.into_iter().collect()
    }

    /// Returns the job credits of all sessions together.
    pub(crate) fn free_slots(&self) -> u64 {
        self.lock().by_session.values().map(|session| session.credits.jobs as u64).sum()
    }
}
