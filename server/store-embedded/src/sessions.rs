//! Worker sessions: who owns them, until when, and which jobs run under them.

use std::collections::BTreeSet;

use bytes::Bytes;
use foldhash::HashMap;
use sentinel_domain::{JobId, Millis, SessionId};
use sentinel_store::{ServerId, SessionInfo, SessionRow};

#[derive(Default)]
struct Session {
    /// None: jobs run under a session that nobody knows.
    row: Option<SessionRow>,
    jobs: BTreeSet<JobId>,
    notes: Notes,
}

/// What is kept with a row and goes with it.
#[derive(Clone, Default)]
pub(crate) struct Notes {
    pub(crate) announcement: Bytes,
    pub(crate) is_drained: bool,
}

/// All sessions. Not in the journal: a restart rebuilds them from the leases.
#[derive(Default)]
pub(crate) struct Sessions {
    all: HashMap<SessionId, Session>,
    by_expiry: BTreeSet<(Millis, SessionId)>,
    /// Jobs run under it and it has no row.
    unknown: BTreeSet<SessionId>,
}

impl Sessions {
    pub(crate) fn row(&self, id: SessionId) -> Option<&SessionRow> {
        self.all.get(&id)?.row.as_ref()
    }

    /// Owned by this server and not expired.
    pub(crate) fn is_live(&self, id: SessionId, owner: ServerId, now: Millis) -> bool {
        self.row(id).is_some_and(|row| row.owner == owner && row.expires_at > now)
    }

    /// No claim of it gets a job.
    pub(crate) fn is_drained(&self, id: SessionId) -> bool {
        self.all.get(&id).is_some_and(|session| session.notes.is_drained)
    }

    pub(crate) fn rows(&self) -> impl Iterator<Item = SessionRow> + '_ {
        self.all.values().filter_map(|session| session.row)
    }

    pub(crate) fn card(&self, id: SessionId) -> Option<SessionInfo> {
        let Session { row, jobs, notes } = self.all.get(&id)?;
        let Notes { announcement, is_drained } = notes.clone();
        Some(SessionInfo { row: (*row)?, worker_info: announcement, is_drained, running: jobs.len() as u64 })
    }

    /// Of a session with a row. Gives what was there.
    pub(crate) fn note(&mut self, id: SessionId, note: impl FnOnce(&mut Notes)) -> Option<Notes> {
        let session = self.all.get_mut(&id).filter(|session| session.row.is_some())?;
        let old = session.notes.clone();
        note(&mut session.notes);
        Some(old)
    }

    /// Takes a row away with what was noted beside it. Gives what was there.
    pub(crate) fn drop_row(&mut self, id: SessionId) -> (Option<SessionRow>, Notes) {
        let notes = self.all.get_mut(&id).map(|s| std::mem::take(&mut s.notes));
        (self.set_row(id, None), notes.unwrap_or_default())
    }

    /// Puts a row, or takes it away. Gives what was there.
    pub(crate) fn set_row(&mut self, id: SessionId, new: Option<SessionRow>) -> Option<SessionRow> {
        let session = self.all.entry(id).or_default();
        let old = std::mem::replace(&mut session.row, new);
        if let Some(old) = old {
            self.by_expiry.remove(&(old.expires_at, id));
        }
        match new {
            Some(row) => {
                self.unknown.remove(&id);
                self.by_expiry.insert((row.expires_at, id));
            }
            None if session.jobs.is_empty() => {
                self.all.remove(&id);
            }
            None => {
                self.unknown.insert(id);
            }
        }
        old
    }

    pub(crate) fn add_job(&mut self, id: SessionId, job: JobId) {
        let session = self.all.entry(id).or_default();
        session.jobs.insert(job);
        if session.row.is_none() {
            self.unknown.insert(id);
        }
    }

    pub(crate) fn remove_job(&mut self, id: SessionId, job: JobId) {
        let Some(session) = self.all.get_mut(&id) else { return };
        session.jobs.remove(&job);
        if session.jobs.is_empty() && session.row.is_none() {
            self.all.remove(&id);
            self.unknown.remove(&id);
        }
    }

    /// Running under a session, by id.
    pub(crate) fn jobs(&self, id: SessionId) -> impl Iterator<Item = JobId> + '_ {
        self.all.get(&id).into_iter().flat_map(|session| session.jobs.iter().copied())
    }

    /// No session expires before.
    pub(crate) fn extend(&mut self, until: Millis) {
        while let Some((at, id)) = self.by_expiry.first().copied() {
            if at >= until {
                return;
            }
            if let Some(row) = self.row(id).copied() {
                self.set_row(id, Some(SessionRow { expires_at: until, ..row }));
            }
        }
    }

    /// Gives every session without a row one from `make`: what a restart knows of them.
    pub(crate) fn adopt_unknown(&mut self, make: impl Fn(SessionId) -> SessionRow) {
        for id in std::mem::take(&mut self.unknown) {
            self.set_row(id, Some(make(id)));
        }
    }

    /// Unknown ones with jobs, then expired ones by expiry.
    pub(crate) fn lost(&self, now: Millis) -> impl Iterator<Item = SessionId> + '_ {
        let expired = self.by_expiry.iter().take_while(move |(at, _)| *at <= now);
        self.unknown.iter().copied().chain(expired.map(|(_, id)| *id))
    }

    /// When one of them is lost next. [`Millis::MIN`]: one is already, whatever the time.
    pub(crate) fn next_loss(&self) -> Option<Millis> {
        if !self.unknown.is_empty() {
            return Some(Millis::MIN);
        }
        self.by_expiry.first().map(|(at, _)| *at)
    }
}
