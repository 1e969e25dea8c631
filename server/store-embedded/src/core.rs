//! The state of the store's thread, and the execution of requests.

use std::sync::Arc;

use sentinel_domain::Millis;
use sentinel_store::{
    CommitRequest, CommitResult, JournalEntry, JournalPage, Mutation, Position, StoreError,
    TrimRequest, TrimResult,
};
use tokio::sync::watch;

use crate::ballast::Ballast;
use crate::commit::PendingCommit;
use crate::epoch;
use crate::idempotency::IdempotencyRecords;
use crate::journal::{AppendError, FileRead, Journal};
use crate::last_results::LastResults;
use crate::ring::Ring;
use crate::state::MemoryState;

/// The maximum number of expired records and keys that one commit removes. It exceeds the number
/// that one commit adds.
const EXPIRE_LIMIT: usize = 4_096;

/// The state of a store, owned by its thread.
pub(crate) struct StoreCore {
    pub(crate) state: MemoryState,
    pub(crate) records: IdempotencyRecords,
    pub(crate) last_results: LastResults,
    pub(crate) journal: Journal,
    pub(crate) ring: Ring,
    pub(crate) ballast: Ballast,
    pub(crate) position: Position,
    pub(crate) head: watch::Sender<Position>,
}

/// The journal entries after a position, or the file to read them from.
pub(crate) enum JournalRead {
    Page(JournalPage),
    File(FileRead),
}

impl StoreCore {
    pub(crate) fn commit(&mut self, request: CommitRequest) -> Result<CommitResult, StoreError> {
        if let Some(result) = self.last_results.lookup(request.writer, request.number)? {
            return Ok(result);
        }
        let (writer, number, now) = (request.writer, request.number, request.now);
        let mutations = request.transactions.iter().flat_map(|transaction| &transaction.mutations);
        let needs_space = mutations.into_iter().any(Mutation::needs_space);
        if needs_space {
            self.check_space(now)?;
        }
        self.records.remove_expired(now, EXPIRE_LIMIT);
        self.state.keys.remove_expired(now, EXPIRE_LIMIT);
        let result = self.apply(request, needs_space)?;
        debug_assert!(result.next_due_at.is_none_or(|at| at >= now));
        self.last_results.put(writer, number, &result);
        Ok(result)
    }

    fn check_space(&mut self, now: Millis) -> Result<(), StoreError> {
        self.ballast.refill(now);
        let reason = if self.ballast.is_spent() {
            "the disk is full: only results of running jobs are accepted"
        } else if self.journal.exceeds_limit() {
            "the ledger is too far behind: only results of running jobs are accepted until it \
             catches up"
        } else {
            return Ok(());
        };
        Err(StoreError::Full(reason.into()))
    }

    fn apply(
        &mut self,
        request: CommitRequest,
        needs_space: bool,
    ) -> Result<CommitResult, StoreError> {
        let position = Position { seq: self.position.seq + 1, ..self.position };
        self.state.seq = position.seq;
        let (state, records) = (&mut self.state, &mut self.records);
        let mut pending = PendingCommit::new(state, records, request.writer, request.now);
        pending.epoch_floor = epoch::epoch_floor(position.epoch);
        let results = request.transactions.into_iter().map(|t| pending.apply(t)).collect();
        pending.promote(request.promote_limit);
        let claimed = request.claims.iter().map(|claim| pending.claim(claim)).collect();
        if pending.has_durable_changes() {
            let entry = JournalEntry {
                position,
                at: request.now,
                jobs: std::mem::take(&mut pending.jobs),
                queues: std::mem::take(&mut pending.queues),
                idempotency_records: std::mem::take(&mut pending.idempotency_records),
            };
            let mut appended = self.journal.append(&entry);
            if let Err(AppendError::Full(_)) = &appended
                && self.ballast.spend(request.now)
                && !needs_space
            {
                appended = self.journal.append(&entry);
            }
            let bytes = match appended {
                Ok(bytes) => bytes,
                Err(error) => {
                    pending.roll_back();
                    return Err(error.into());
                }
            };
            self.ring.push(Arc::new(entry), bytes);
            self.position = position;
            self.head.send_replace(position);
        }
        let ready = pending.still_ready();
        let next_due_at = self.state.next_due_at(request.now);
        Ok(CommitResult { position: self.position, results, claimed, ready, next_due_at })
    }

    pub(crate) fn read_journal(&self, after: Position, limit: usize) -> JournalRead {
        let is_start = after == Position::default();
        if !is_start && (after.epoch != self.position.epoch || after.seq > self.position.seq) {
            return JournalRead::Page(JournalPage::OtherEpoch);
        }
        if after.seq == self.position.seq {
            return JournalRead::Page(JournalPage::Entries(Vec::new()));
        }
        let limit = limit.max(1);
        if after.seq + 1 < self.journal.first() {
            return JournalRead::Page(JournalPage::Trimmed);
        }
        if let Some(entries) = self.ring.after(after.seq, limit) {
            return JournalRead::Page(JournalPage::Entries(entries));
        }
        match self.journal.file_of(after.seq + 1) {
            None => JournalRead::Page(JournalPage::Trimmed),
            Some(file) => {
                let after = Position { seq: after.seq, ..self.position };
                JournalRead::File(FileRead { file, after, limit, head: self.position.seq })
            }
        }
    }

    pub(crate) fn trim(&mut self, trim: &TrimRequest) -> TrimResult {
        if trim.projected.epoch != self.position.epoch {
            return TrimResult::default();
        }
        let projected = trim.projected.seq;
        self.journal.trim(trim, projected);
        self.state.evict_terminal(trim, projected)
    }
}

impl From<AppendError> for StoreError {
    fn from(error: AppendError) -> Self {
        match error {
            AppendError::Full(detail) => Self::Full(detail),
            AppendError::Failed(detail) => Self::OutcomeUnknown(detail),
        }
    }
}
