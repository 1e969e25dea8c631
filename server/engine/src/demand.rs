//! Who could take jobs: the credits of the sessions, and whether asking makes sense.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use sentinel_domain::{Job, Name, SessionId};
use sentinel_store::Claim;
use tokio::sync::Notify;

/// Jobs that all claims of one call may take together.
const CLAIM_MAX: usize = 2_048;

/// Queues and kinds that are remembered over one call.
const HEARD_MAX: usize = 256;

/// What one session can run and how much room it has.
pub(crate) struct Asker {
    pub(crate) worker: Name,
    pub(crate) queues: Arc<[Name]>,
    /// Sorted.
    pub(crate) kinds: Arc<[Name]>,
    room: Room,
    /// The last claim came back short and nothing fitting became ready since.
    is_dry: bool,
    /// It wants nothing for now, whatever its room.
    is_paused: bool,
}

#[derive(Clone, Copy, Default)]
struct Room {
    jobs: usize,
    /// None: no bound.
    bytes: Option<i64>,
}

/// The credits of all sessions of this server.
#[derive(Default)]
pub(crate) struct Demand {
    askers: Mutex<Askers>,
    woken: Notify,
}

#[derive(Default)]
struct Askers {
    /// Sorted, so that whose turn it is follows from the sessions alone.
    by_session: BTreeMap<SessionId, Asker>,
    /// What other servers made ready while a call is under way, which may not have seen it.
    heard: Vec<(Name, Name)>,
    /// So much that everybody asks again.
    has_heard_all: bool,
    /// Whose turn it is to ask first.
    turn: usize,
}

impl Askers {
    /// Those whom it concerns ask again. False when there is nobody.
    fn wake(&mut self, concerns: impl Fn(&Asker) -> bool) -> bool {
        let mut has_woken = false;
        for asker in self.by_session.values_mut().filter(|a| a.is_dry) {
            asker.is_dry = !concerns(asker);
            has_woken |= asker.wants();
        }
        has_woken
    }
}

impl Asker {
    pub(crate) fn new(worker: Name, queues: Arc<[Name]>, kinds: Arc<[Name]>) -> Self {
        Self { worker, queues, kinds, room: Room::default(), is_dry: false, is_paused: false }
    }

    fn serves(&self, queue: &Name, kind: &Name) -> bool {
        self.queues.contains(queue) && self.kinds.binary_search(kind).is_ok()
    }

    fn wants(&self) -> bool {
        !self.is_dry
            && !self.is_paused
            && self.room.jobs > 0
            && self.room.bytes.is_none_or(|b| b > 0)
    }
}

impl Demand {
    fn lock(&self) -> std::sync::MutexGuard<'_, Askers> {
        // Every change under the lock is complete, so a panic elsewhere poisons nothing.
        self.askers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn join(&self, session: SessionId, asker: Asker) {
        self.lock().by_session.insert(session, asker);
    }

    pub(crate) fn leave(&self, session: SessionId) {
        self.lock().by_session.remove(&session);
    }

    /// More room; `bytes` of None lifts the bound.
    pub(crate) fn grant(&self, session: SessionId, jobs: usize, bytes: Option<i64>) {
        if let Some(asker) = self.lock().by_session.get_mut(&session) {
            let max = sentinel_domain::limits::WORKER_CREDIT as usize;
            asker.room.jobs = (asker.room.jobs + jobs).min(max);
            asker.room.bytes = match (asker.room.bytes, bytes) {
                (Some(had), Some(more)) => Some(had.saturating_add(more)),
                (None, more) if asker.room.jobs == jobs => more,
                _ => None,
            };
            asker.is_dry = false;
        }
        self.woken.notify_one();
    }

    /// Nothing is asked for while a session is paused; its room stays.
    pub(crate) fn pause(&self, session: SessionId, is_paused: bool) {
        if let Some(asker) = self.lock().by_session.get_mut(&session) {
            asker.is_paused = is_paused;
            asker.is_dry = false;
        }
        self.woken.notify_one();
    }

    /// Room of jobs that were claimed and not sent.
    pub(crate) fn give_back(&self, session: SessionId, jobs: &[Arc<Job>]) {
        if let Some(asker) = self.lock().by_session.get_mut(&session) {
            asker.room.jobs += jobs.len();
            if let Some(bytes) = &mut asker.room.bytes {
                *bytes += jobs.iter().map(|job| job.spec.payload.len() as i64).sum::<i64>();
            }
        }
    }

    /// No more jobs for this session.
    pub(crate) fn close(&self, session: SessionId) {
        if let Some(asker) = self.lock().by_session.get_mut(&session) {
            asker.room = Room::default();
        }
    }

    pub(crate) async fn woken(&self) {
        self.woken.notified().await;
    }

    pub(crate) fn has_claims(&self) -> bool {
        self.lock().by_session.values().any(Asker::wants)
    }

    /// What to ask the store for, beginning with another session each time.
    pub(crate) fn claims(&self) -> Vec<Claim> {
        let mut askers = self.lock();
        askers.heard.clear();
        askers.has_heard_all = false;
        askers.turn = askers.turn.wrapping_add(1);
        let willing: Vec<_> = askers.by_session.iter().filter(|(_, a)| a.wants()).collect();
        if willing.is_empty() {
            return Vec::new();
        }
        let share = (CLAIM_MAX / willing.len()).max(1);
        let turn = askers.turn % willing.len();
        willing[turn..]
            .iter()
            .chain(&willing[..turn])
            .take(CLAIM_MAX)
            .map(|(session, asker)| Claim {
                session: **session,
                worker: asker.worker.clone(),
                queues: asker.queues.clone(),
                kinds: asker.kinds.clone(),
                max_jobs: asker.room.jobs.min(share),
                max_bytes: asker.room.bytes.map_or(u64::MAX, |b| b.max(1).cast_unsigned()),
            })
            .collect()
    }

    /// Takes off what was claimed. A session that got less than it asked for waits until
    /// something fitting becomes ready.
    pub(crate) fn settle(&self, asked: &[(SessionId, usize)], claimed: &[Vec<Arc<Job>>]) {
        let mut askers = self.lock();
        for ((session, max_jobs), jobs) in asked.iter().zip(claimed) {
            let Some(asker) = askers.by_session.get_mut(session) else { continue };
            asker.room.jobs = asker.room.jobs.saturating_sub(jobs.len());
            if let Some(bytes) = &mut asker.room.bytes {
                let took: usize = jobs.iter().map(|j| j.spec.payload.len()).sum();
                *bytes -= took as i64;
            }
            let has_bytes = asker.room.bytes.is_none_or(|b| b > 0);
            asker.is_dry = jobs.len() < *max_jobs && has_bytes;
        }
        if askers.has_heard_all {
            askers.wake(|_| true);
        } else if !askers.heard.is_empty() {
            let heard = std::mem::take(&mut askers.heard);
            askers.wake(|asker| heard.iter().any(|(queue, kind)| asker.serves(queue, kind)));
        }
    }

    /// Another server made such jobs ready: as [`Self::may_be_ready`], also for those who ask
    /// at this moment.
    pub(crate) fn hear(&self, ready: &[(Name, Name)]) {
        let mut askers = self.lock();
        let has_woken =
            askers.wake(|asker| ready.iter().any(|(queue, kind)| asker.serves(queue, kind)));
        if askers.heard.len() + ready.len() > HEARD_MAX {
            askers.has_heard_all = true;
        } else {
            askers.heard.extend_from_slice(ready);
        }
        drop(askers);
        if has_woken {
            self.woken.notify_one();
        }
    }

    /// Other servers may have made anything ready.
    pub(crate) fn hear_all(&self) {
        let mut askers = self.lock();
        let has_woken = askers.wake(|_| true);
        askers.has_heard_all = true;
        drop(askers);
        if has_woken {
            self.woken.notify_one();
        }
    }

    /// Jobs of these queues and kinds are ready: their sessions ask again.
    pub(crate) fn may_be_ready(&self, ready: &[(Name, Name)]) {
        if ready.is_empty() {
            return;
        }
        self.lock().wake(|asker| ready.iter().any(|(queue, kind)| asker.serves(queue, kind)));
    }

    /// Kinds that any session has a handler for.
    pub(crate) fn kinds(&self) -> Vec<Name> {
        let askers = self.lock();
        let all: BTreeSet<Name> =
            askers.by_session.values().flat_map(|asker| asker.kinds.iter().cloned()).collect();
        all.into_iter().collect()
    }

    /// Jobs that all sessions together have room for.
    pub(crate) fn free(&self) -> u64 {
        self.lock().by_session.values().map(|asker| asker.room.jobs as u64).sum()
    }

    pub(crate) fn all_may_be_ready(&self) {
        self.lock().wake(|_| true);
    }
}
