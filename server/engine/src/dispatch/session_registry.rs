//! The worker sessions whose stream is connected to this server.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};

use sentinel_domain::{Job, JobId, LeaseId, Millis, SessionId};
use tokio_util::sync::CancellationToken;

use super::disconnects::Disconnects;
use super::outbox::{Outbox, Pending};
use crate::runtime::lock;

#[derive(Default)]
struct Connected {
    outboxes: HashMap<SessionId, Arc<Outbox>, foldhash::fast::FixedState>,
    disconnects: Disconnects,
    /// Jobs that are claimed and that no session holds. The sweeper hands them back.
    orphans: Vec<Arc<Job>>,
}

/// All connected sessions of this server.
#[derive(Default)]
pub(crate) struct SessionRegistry(Mutex<Connected>);

impl SessionRegistry {
    fn lock(&self) -> MutexGuard<'_, Connected> {
        lock(&self.0)
    }

    pub(crate) fn count(&self) -> usize {
        self.lock().outboxes.len()
    }

    /// Whether a stream of the session is connected here.
    pub(crate) fn is_connected(&self, session: SessionId) -> bool {
        self.lock().outboxes.contains_key(&session)
    }

    /// Registers a stream. A former stream of the session here is superseded; the returned token
    /// is cancelled when that one has finished.
    ///
    /// Two streams of one session thus follow each other: nothing that the end of one starts
    /// runs concurrently with the next.
    pub(crate) fn register(
        self: &Arc<Self>,
        session: SessionId,
    ) -> (Registration, Option<CancellationToken>) {
        let outbox = Arc::new(Outbox::default());
        let former = self.lock().outboxes.insert(session, outbox.clone());
        let former_closed = former.map(|former| {
            former.fill(|pending| pending.is_superseded = true);
            former.closed.clone()
        });
        (Registration { registry: self.clone(), session, outbox }, former_closed)
    }

    /// Calls `act` with those items whose session has no stream here. None of them can register
    /// before `act` returns.
    pub(crate) fn with_disconnected<T>(
        &self,
        session: impl Fn(&T) -> SessionId,
        mut items: Vec<T>,
        act: impl FnOnce(Vec<T>),
    ) {
        let connected = self.lock();
        items.retain(|item| !connected.outboxes.contains_key(&session(item)));
        act(items);
    }

    /// Puts claimed jobs into the outbox of their session.
    pub(crate) fn assign(&self, session: SessionId, jobs: Vec<Arc<Job>>) {
        let mut connected = self.lock();
        // Filled under the lock: a stream that unregisters takes all of the outbox along, and
        // nothing is added later.
        match connected.outboxes.get(&session) {
            Some(outbox) => outbox.assign(jobs),
            None => connected.orphans.extend(jobs),
        }
    }

    /// Takes the jobs that are RUNNING in the store and held by no session.
    pub(crate) fn take_orphans(&self) -> Vec<Arc<Job>> {
        std::mem::take(&mut self.lock().orphans)
    }

    /// Leaves jobs to the sweeper, which hands them back once the store is available.
    pub(crate) fn add_orphans(&self, jobs: Vec<Arc<Job>>) {
        self.lock().orphans.extend(jobs);
    }

    /// Records that a stream closed without Bye.
    pub(crate) fn record_disconnect(&self, session: SessionId, now: Millis) {
        self.lock().disconnects.record(session, now);
    }

    /// Whether a network fault rather than its worker closed the stream of a session. Then
    /// returns the other sessions that closed with it and must live longer, too.
    pub(crate) fn suspect_network(
        &self,
        session: SessionId,
        now: Millis,
    ) -> Option<Vec<SessionId>> {
        let mut connected = self.lock();
        let Connected { outboxes, disconnects, .. } = &mut *connected;
        disconnects.suspect_network(session, now, outboxes.len(), |s| outboxes.contains_key(s))
    }

    /// Asks the handler of a running job to stop. Every Pong repeats it, in case it is lost.
    pub(crate) fn push_cancel(&self, job: &Arc<Job>) {
        if let Some(lease) = job.status.lease {
            self.push(lease.id.session, |pending| pending.cancels.push(job.clone()));
        }
    }

    /// Tells a worker that it lost a lease.
    pub(crate) fn push_revoked(&self, id: JobId, lease: LeaseId) {
        self.push(lease.session, |pending| pending.revoked.push((id, lease)));
    }

    /// Makes a session check whether this server still owns it: a peer may have adopted it.
    pub(crate) fn recheck_owner(&self, session: SessionId) {
        self.push(session, |pending| pending.recheck_owner = true);
    }

    /// Makes a session read a job again that a peer changed.
    pub(crate) fn reload(&self, session: SessionId, job: JobId) {
        self.push(session, |pending| pending.reload.push(job));
    }

    /// Makes every session check its owner and read all its jobs again.
    pub(crate) fn reload_all(&self) {
        for outbox in self.lock().outboxes.values() {
            outbox.fill(|pending| {
                pending.recheck_owner = true;
                pending.reload_all = true;
            });
        }
    }

    fn push(&self, session: SessionId, fill: impl FnOnce(&mut Pending)) {
        let outbox = self.lock().outboxes.get(&session).cloned();
        if let Some(outbox) = outbox {
            outbox.fill(fill);
        }
    }

    /// Removes a stream, unless another one has taken the session over.
    fn unregister(&self, session: SessionId, outbox: &Arc<Outbox>) {
        let mut connected = self.lock();
        if connected.outboxes.get(&session).is_some_and(|other| Arc::ptr_eq(other, outbox)) {
            connected.outboxes.remove(&session);
        }
        connected.orphans.extend(outbox.take().assigned);
    }
}

/// The registration of one stream. Dropping it unregisters the stream.
pub(crate) struct Registration {
    registry: Arc<SessionRegistry>,
    session: SessionId,
    outbox: Arc<Outbox>,
}

impl Registration {
    pub(crate) fn outbox(&self) -> Arc<Outbox> {
        self.outbox.clone()
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.registry.unregister(self.session, &self.outbox);
        self.outbox.closed.cancel();
    }
}
