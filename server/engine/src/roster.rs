//! The worker sessions whose stream ends at this server, and what waits to be sent to them.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sentinel_domain::{Job, JobId, Lease, Millis, SessionId};
use tokio::sync::Notify;

use crate::Engine;

/// What others want a session to tell its worker.
#[derive(Default)]
pub(crate) struct Inbox {
    pub(crate) cancels: Vec<Arc<Job>>,
    pub(crate) revoked: Vec<(JobId, Lease)>,
    pub(crate) assigned: Vec<Arc<Job>>,
    /// Another stream took the session over.
    pub(crate) is_superseded: bool,
}

/// The way to one session. Bounded by the credits and leases of its worker.
#[derive(Default)]
pub(crate) struct Mailbox {
    inbox: Mutex<Inbox>,
    filled: Notify,
}

impl Mailbox {
    fn fill(&self, fill: impl FnOnce(&mut Inbox)) {
        fill(&mut self.inbox.lock().unwrap_or_else(PoisonError::into_inner));
        self.filled.notify_one();
    }

    /// Waits until there is something.
    pub(crate) async fn filled(&self) {
        self.filled.notified().await;
    }

    pub(crate) fn take(&self) -> Inbox {
        let mut inbox = self.inbox.lock().unwrap_or_else(PoisonError::into_inner);
        let is_superseded = inbox.is_superseded;
        let taken = std::mem::take(&mut *inbox);
        inbox.is_superseded = is_superseded;
        taken
    }
}

/// Streams that ended within this time of each other count as ended together.
const TOGETHER_MS: Millis = 1_000;

#[derive(Default)]
struct Present {
    mailboxes: HashMap<SessionId, Arc<Mailbox>, foldhash::fast::RandomState>,
    /// Streams that ended without Bye, newest last.
    ended: VecDeque<(Millis, SessionId)>,
    /// Claimed for a session that was gone by then.
    orphans: Vec<Arc<Job>>,
}

/// All sessions of this server.
#[derive(Default)]
pub(crate) struct Roster(Mutex<Present>);

impl Roster {
    fn lock(&self) -> MutexGuard<'_, Present> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the session over from its former stream, if there is one here.
    pub(crate) fn join(&self, session: SessionId) -> Arc<Mailbox> {
        let mailbox = Arc::new(Mailbox::default());
        let former = self.lock().mailboxes.insert(session, mailbox.clone());
        if let Some(former) = former {
            former.fill(|inbox| inbox.is_superseded = true);
        }
        mailbox
    }

    /// Leaves, unless another stream has taken over.
    pub(crate) fn leave(&self, session: SessionId, mailbox: &Arc<Mailbox>) {
        let mut present = self.lock();
        if present.mailboxes.get(&session).is_some_and(|m| Arc::ptr_eq(m, mailbox)) {
            present.mailboxes.remove(&session);
        }
    }

    pub(crate) fn has(&self, session: SessionId) -> bool {
        self.lock().mailboxes.contains_key(&session)
    }

    pub(crate) fn count(&self) -> usize {
        self.lock().mailboxes.len()
    }

    /// Jobs that were claimed for nobody.
    pub(crate) fn take_orphans(&self) -> Vec<Arc<Job>> {
        std::mem::take(&mut self.lock().orphans)
    }

    /// Notes that a stream ended without Bye. When over a third of the sessions, and over
    /// three, end together, the network is suspected rather than their workers: then all
    /// that ended together are answered, to be given more time.
    pub(crate) fn suspects(&self, session: SessionId, now: Millis) -> Vec<SessionId> {
        let mut present = self.lock();
        while present.ended.front().is_some_and(|(at, _)| now - at > TOGETHER_MS) {
            present.ended.pop_front();
        }
        present.ended.push_back((now, session));
        let together = present.ended.len();
        let all = together + present.mailboxes.len();
        if together > 3 && together * 3 > all {
            present.ended.iter().map(|(_, session)| *session).collect()
        } else {
            Vec::new()
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
        match present.mailboxes.get(&session).cloned() {
            Some(mailbox) => {
                drop(present);
                mailbox.fill(|inbox| inbox.assigned.extend(jobs));
            }
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
