//! A store that loses replies, is away, or is full, when told so.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use sentinel_broker::{
    Attention, Broker, Call, Change, Depth, Outcome, Position, Reply, StoreError, Tail, Trim,
    Trimmed,
};
use sentinel_domain::{Job, JobId, Millis, Queue, SessionId, UniqueKey};
use tokio::sync::watch;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The call is applied, the reply is lost.
    LostReply,
    Unavailable,
    /// Calls that make jobs are refused.
    Full,
}

pub(crate) struct Faulty {
    inner: Arc<dyn Broker>,
    once: Mutex<VecDeque<Fault>>,
    always: Mutex<Option<Fault>>,
    pub(crate) met: AtomicUsize,
}

impl Faulty {
    pub(crate) fn new(inner: Arc<dyn Broker>) -> Self {
        Self { inner, once: Mutex::default(), always: Mutex::default(), met: AtomicUsize::new(0) }
    }

    /// Met by the next calls that change something, one each.
    pub(crate) fn once(&self, faults: &[Fault]) {
        self.once.lock().expect("not poisoned").extend(faults);
    }

    /// Met by all calls until told otherwise.
    pub(crate) fn always(&self, fault: Option<Fault>) {
        *self.always.lock().expect("not poisoned") = fault;
    }

    fn fault(&self, call: &Call) -> Option<Fault> {
        let always = *self.always.lock().expect("not poisoned");
        let is_change = !call.groups.is_empty() || !call.claims.is_empty();
        let next = || is_change.then(|| self.once.lock().expect("not poisoned").pop_front());
        let fault = always.or_else(|| next().flatten())?;
        self.met.fetch_add(1, Ordering::Relaxed);
        Some(fault)
    }
}

impl Broker for Faulty {
    fn commit(&self, call: Call) -> Reply<'_, Outcome> {
        let fault = self.fault(&call);
        let creates = |change: &Change| matches!(change, Change::Create { .. });
        let has_create = call.groups.iter().flat_map(|g| &g.changes).any(creates);
        Box::pin(async move {
            match fault {
                Some(Fault::Unavailable) => Err(StoreError::Unavailable("told so".into())),
                Some(Fault::Full) if has_create => Err(StoreError::Full("told so".into())),
                Some(Fault::LostReply) => {
                    self.inner.commit(call).await?;
                    Err(StoreError::Unknown("told so".into()))
                }
                Some(Fault::Full) | None => self.inner.commit(call).await,
            }
        })
    }

    fn read(&self, ids: Vec<JobId>) -> Reply<'_, Vec<Option<Arc<Job>>>> {
        self.inner.read(ids)
    }

    fn holders(&self, keys: Vec<UniqueKey>, now: Millis) -> Reply<'_, Vec<Option<JobId>>> {
        self.inner.holders(keys, now)
    }

    fn queues(&self) -> Reply<'_, Vec<Queue>> {
        self.inner.queues()
    }

    fn depths(&self) -> Reply<'_, Vec<Depth>> {
        self.inner.depths()
    }

    fn session_jobs(&self, session: SessionId) -> Reply<'_, Vec<Arc<Job>>> {
        self.inner.session_jobs(session)
    }

    fn extend_sessions(&self, until: Millis) -> Reply<'_, ()> {
        self.inner.extend_sessions(until)
    }

    fn attention(&self, now: Millis, limit: usize) -> Reply<'_, Attention> {
        self.inner.attention(now, limit)
    }

    fn tail(&self, after: Position, limit: usize) -> Reply<'_, Tail> {
        self.inner.tail(after, limit)
    }

    fn head(&self) -> watch::Receiver<Position> {
        self.inner.head()
    }

    fn trim(&self, trim: Trim) -> Reply<'_, Trimmed> {
        self.inner.trim(trim)
    }
}
