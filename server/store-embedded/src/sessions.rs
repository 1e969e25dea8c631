//! Worker sessions: their owners, expiries and running jobs.

use std::collections::BTreeSet;

use bytes::Bytes;
use foldhash::HashMap;
use sentinel_domain::{JobId, Millis, SessionId};
use sentinel_store::{ServerId, SessionInfo, SessionRow};

#[derive(Default)]
struct Session {
    /// `None`: the session has running jobs and no row.
    row: Option<SessionRow>,
    jobs: BTreeSet<JobId>,
    details: SessionDetails,
}

/// The data that is stored and dropped with a row.
#[derive(Clone, Default)]
pub(crate) struct SessionDetails {
    pub(crate) worker_info: Bytes,
    pub(crate) is_drained: bool,
}

/// All sessions. They are not in the journal: a restart rebuilds them from the leases.
#[derive(Default)]
pub(crate) struct Sessions {
    all: HashMap<SessionId, Session>,
    by_expiry: BTreeSet<(Millis, SessionId)>,
    /// Sessions with running jobs and without a row.
    missing_rows: BTreeSet<SessionId>,
}

impl Sessions {
    pub(crate) fn row(&self, id: SessionId) -> Option<&SessionRow> {
        self.all.get(&id)?.row.as_ref()
    }

    /// Returns whether the session has this owner and has not expired.
    pub(crate) fn is_live(&self, id: SessionId, owner: ServerId, now: Millis) -> bool {
        self.row(id).is_some_and(|row| row.owner == owner && row.expires_at > now)
    }

    /// Returns whether the session is drained: its claims get no jobs.
    pub(crate) fn is_drained(&self, id: SessionId) -> bool {
        self.all.get(&id).is_some_and(|session| session.details.is_drained)
    }

    pub(crate) fn rows(&self) -> impl Iterator<Item = SessionRow> + '_ {
        self.all.values().filter_map(|session| session.row)
    }

    pub(crate) fn info(&self, id: SessionId) -> Option<SessionInfo> {
        let Session { row, jobs, details } = self.all.get(&id)?;
        let SessionDetails { worker_info, is_drained } = details.clone();
        Some(SessionInfo { row: (*row)?, worker_info, is_drained, running: jobs.len() as u64 })
    }

    /// Updates the details of a session with a row, and returns the previous ones.
    pub(crate) fn update_details(
        &mut self,
        id: SessionId,
        update: impl FnOnce(&mut SessionDetails),
    ) -> Option<SessionDetails> {
        let session = self.all.get_mut(&id).filter(|session| session.row.is_some())?;
        let old = session.details.clone();
        update(&mut session.details);
        Some(old)
    }

    /// Drops a row with its details, and returns both.
    pub(crate) fn drop_row(&mut self, id: SessionId) -> (Option<SessionRow>, SessionDetails) {
        let details = self.all.get_mut(&id).map(|s| std::mem::take(&mut s.details));
        (self.set_row(id, None), details.unwrap_or_default())
    }

    /// Puts or drops a row, and returns the previous one.
    pub(crate) fn set_row(&mut self, id: SessionId, new: Option<SessionRow>) -> Option<SessionRow> {
        let session = self.all.entry(id).or_default();
        let old = std::mem::replace(&mut session.row, new);
        if let Some(old) = old {
            self.by_expiry.remove(&(old.expires_at, id));
        }
        match new {
            Some(row) => {
                self.missing_rows.remove(&id);
                self.by_expiry.insert((row.expires_at, id));
            }
            None if session.jobs.is_empty() => {
                self.all.remove(&id);
            }
            None => {
                self.missing_rows.insert(id);
            }
        }
        old
    }

    pub(crate) fn add_job(&mut self, id: SessionId, job: JobId) {
        let session = self.all.entry(id).or_default();
        session.jobs.insert(job);
        if session.row.is_none() {
            self.missing_rows.insert(id);
        }
    }

    pub(crate) fn remove_job(&mut self, id: SessionId, job: JobId) {
        let Some(session) = self.all.get_mut(&id) else { return };
        session.jobs.remove(&job);
        if session.jobs.is_empty() && session.row.is_none() {
            self.all.remove(&id);
            self.missing_rows.remove(&id);
        }
    }

    /// Returns the running jobs of a session, sorted by id.
    pub(crate) fn jobs(&self, id: SessionId) -> impl Iterator<Item = JobId> + '_ {
        self.all.get(&id).into_iter().flat_map(|session| session.jobs.iter().copied())
    }

    /// Extends all sessions to expire at `until` or later.
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

    /// Puts a row from `make` for every session without one, after a restart.
    pub(crate) fn put_missing_rows(&mut self, make: impl Fn(SessionId) -> SessionRow) {
        for id in std::mem::take(&mut self.missing_rows) {
            self.set_row(id, Some(make(id)));
        }
    }

    /// Returns the lost sessions: those without a row, then the expired ones by expiry.
    pub(crate) fn lost(&self, now: Millis) -> impl Iterator<Item = SessionId> + '_ {
        let expired = self.by_expiry.iter().take_while(move |(at, _)| *at <= now);
        self.missing_rows.iter().copied().chain(expired.map(|(_, id)| *id))
    }

    /// Returns when the next session is lost. [`Millis::MIN`] if a session has no row.
    pub(crate) fn next_lost_at(&self) -> Option<Millis> {
        if !self.missing_rows.is_empty() {
            return Some(Millis::MIN);
        }
        self.by_expiry.first().map(|(at, _)| *at)
    }
}
