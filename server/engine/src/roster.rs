//! The worker sessions whose stream ends at this server, and what waits to be sent to them.

mod presence;
mod suspicion;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sentinel_domain::{Job, JobId, Lease, Millis, SessionId};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::Engine;
pub(crate) use presence::Presence;
use suspicion::Suspicion;

/// What others want a session to tell its worker.
#[derive(Default)]
pub(crate) struct Inbox {
    pub(crate) cancels: Vec<Arc<Job>>,
    pub(crate) revoked: Vec<(JobId, Lease)>,
    pub(crate) assigned: Vec<Arc<Job>>,
    /// Another server changed these.
    pub(crate) look: Vec<JobId>,
    /// Another server may have changed any.
    pub(crate) looks_at_all: bool,
    /// Another server may have adopted the session.
    pub(crate) is_doubted: bool,
    /// Another stream took the session over.
    pub(crate) is_superseded: bool,
}

/// The way to one session. Bounded by the credits and leases of its worker.
#[derive(Default)]
pub(crate) struct Mailbox {
    inbox: Mutex<Inbox>,
    filled: Notify,
    /// Cancelled when the stream has done all that follows its end.
    left: CancellationToken,
}

impl Mailbox {
    fn lock(&self) -> MutexGuard<'_, Inbox> {
        // Every change under the lock is complete, so a panic elsewhere poisons nothing.
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fill(&self, fill: impl FnOnce(&mut Inbox)) {
        fill(&mut self.lock());
        self.filled.notify_one();
    }

    /// Leaves jobs for the session to send, or to hand back.
    pub(crate) fn assign(&self, jobs: Vec<Arc<Job>>) {
        self.fill(|inbox| inbox.assigned.extend(jobs));
    }

    /// Waits until there is something.
    pub(crate) async fn filled(&self) {
        self.filled.notified().await;
    }

    pub(crate) fn take(&self) -> Inbox {
        let mut inbox = self.lock();
        let is_superseded = inbox.is_superseded;
        let taken = std::mem::take(&mut *inbox);
        inbox.is_superseded = is_superseded;
        taken
    }

    pub(crate) fn is_superseded(&self) -> bool {
        self.lock().is_superseded
    }
}

#[derive(Default)]
struct Present {
    mailboxes: HashMap<SessionId, Arc<Mailbox>, foldhash::fast::FixedState>,
    suspicion: Suspicion,
    /// Claimed, and in nobody's hands: to be given back to their queues.
    orphans: Vec<Arc<Job>>,
}

/// All sessions of this server.
#[derive(Default)]
pub(crate) struct Roster(Mutex<Present>);

impl Roster {
    fn lock(&self) -> MutexGuard<'_, Present> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn count(&self) -> usize {
        self.lock().mailboxes.len()
    }

    /// Whether a stream of the session ends here.
    pub(crate) fn has(&self, session: SessionId) -> bool {
        self.lock().mailboxes.contains_key(&session)
    }

    /// Runs `act` with those of the sessions that have no stream here. None of them can
    /// begin one before it returns.
    pub(crate) fn with_absent<T>(
        &self,
        session: impl Fn(&T) -> SessionId,
        mut all: Vec<T>,
        act: impl FnOnce(Vec<T>),
    ) {
        let present = self.lock();
        all.retain(|one| !present.mailboxes.contains_key(&session(one)));
        act(all);
    }

    /// Jobs that nobody has, though the store says that somebody runs them.
    pub(crate) fn take_orphans(&self) -> Vec<Arc<Job>> {
        std::mem::take(&mut self.lock().orphans)
    }

    /// Leaves jobs to the sweeper, which gives them back as soon as the store lets it.
    pub(crate) fn orphan(&self, jobs: Vec<Arc<Job>>) {
        self.lock().orphans.extend(jobs);
    }

    /// Notes that a stream ended without Bye.
    pub(crate) fn note_end(&self, session: SessionId, now: Millis) {
        self.lock().suspicion.note(session, now);
    }

    /// Whether the network rather than the worker is to blame for the end of a stream;
    /// then also the sessions that ended with it and were given less time.
    pub(crate) fn suspects(&self, session: SessionId, now: Millis) -> Option<Vec<SessionId>> {
        let mut present = self.lock();
        let Present { mailboxes, suspicion, .. } = &mut *present;
        suspicion.ask(session, now, mailboxes.len(), |s| mailboxes.contains_key(s))
    }

    /// Another server says that it has the session. This one may have it again by now.
    pub(crate) fn doubt(&self, session: SessionId) {
        self.post(session, |inbox| inbox.is_doubted = true);
    }

    /// Another server changed a job of the session.
    pub(crate) fn look(&self, session: SessionId, job: JobId) {
        self.post(session, |inbox| inbox.look.push(job));
    }

    /// Other servers may have changed anything of any session.
    pub(crate) fn look_at_all(&self) {
        for mailbox in self.lock().mailboxes.values() {
            mailbox.fill(|inbox| {
                inbox.is_doubted = true;
                inbox.looks_at_all = true;
            });
        }
    }

    fn post(&self, session: SessionId, fill: impl FnOnce(&mut Inbox)) {
        let mailbox = self.lock().mailboxes.get(&session).cloned();
        if let Some(mailbox) = mailbox {
            mailbox.fill(fill);
        }
    }
}

impl Engine {
    /// Gives claimed jobs to the session that claimed them.
    pub(crate) fn hand_out(&self, session: SessionId, jobs: Vec<Arc<Job>>) {
        let now = self.now();
        for job in &jobs {
            self.observer.started(job, now);
        }
        let mut present = self.roster.lock();
        // Filled under the lock: who leaves takes along what is there, nothing comes after.
        match present.mailboxes.get(&session) {
            Some(mailbox) => mailbox.fill(|inbox| inbox.assigned.extend(jobs)),
            None => present.orphans.extend(jobs),
        }
    }

    /// Asks the handler of a running job to stop. The repeat in each Pong covers a loss.
    pub(crate) fn push_cancel(&self, job: &Arc<Job>) {
        if let Some(lease) = job.status.lease {
            self.roster.post(lease.session, |inbox| inbox.cancels.push(job.clone()));
        }
    }

    /// Tells a worker that it lost a lease.
    pub(crate) fn push_revoked(&self, id: JobId, lease: Lease) {
        self.roster.post(lease.session, |inbox| inbox.revoked.push((id, lease)));
    }
}
