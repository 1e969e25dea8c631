//! What the store's thread owns, and the commit.

use std::sync::Arc;

use sentinel_store::{
    CommitRequest, CommitResult, JournalEntry, JournalPage, Mutation, Position, StoreError, TrimRequest, TrimResult,
};
use tokio::sync::watch;

use crate::apply::Work;
use crate::ballast::Ballast;
use crate::epoch;
use crate::journal::{AppendError, Journal, Older};
use crate::replies::Replies;
use crate::requests::Requests;
use crate::ring::Ring;
use crate::state::Hot;

/// Requests and keys that one call forgets at the most; more than one call can add.
const SWEEP: usize = 4_096;

/// Everything of a store.
pub(crate) struct StoreCore {
    pub(crate) hot: Hot,
    pub(crate) requests: Requests,
    pub(crate) replies: Replies,
    pub(crate) journal: Journal,
    pub(crate) ring: Ring,
    pub(crate) ballast: Ballast,
    pub(crate) position: Position,
    pub(crate) head: watch::Sender<Position>,
}

/// What follows a position, or where to read it.
pub(crate) enum TailPart {
    Here(JournalPage),
    Older(Older),
}

impl StoreCore {
    pub(crate) fn commit(&mut self, call: CommitRequest) -> Result<CommitResult, StoreError> {
        if let Some(outcome) = self.replies.recall(call.writer, call.number)? {
            return Ok(outcome);
        }
        let has_new = call.transactions.iter().flat_map(|group| &group.mutations).any(is_create);
        if has_new {
            self.ballast.refill(call.now);
            if self.ballast.is_spent() {
                return Err(StoreError::Full("the disk is full: only reports are taken".into()));
            }
        }
        if has_new && self.journal.is_behind() {
            return Err(StoreError::Full(
                "the ledger is too far behind: only reports are taken until it has caught up"
                    .into(),
            ));
        }
        self.requests.sweep(call.now, SWEEP);
        self.hot.keys.sweep(call.now, SWEEP);
        let (writer, number, now) = (call.writer, call.number, call.now);
        let outcome = self.apply(call, has_new)?;
        debug_assert!(outcome.next_due_at.is_none_or(|at| at >= now));
        self.replies.remember(writer, number, &outcome);
        Ok(outcome)
    }

    fn apply(&mut self, call: CommitRequest, has_new: bool) -> Result<CommitResult, StoreError> {
        let position = Position { seq: self.position.seq + 1, ..self.position };
        self.hot.seq = position.seq;
        let mut work = Work::new(&mut self.hot, &mut self.requests, call.writer, call.now);
        work.lease_floor = epoch::lease_floor(position.epoch);
        let results = call.transactions.into_iter().map(|group| work.group(group)).collect();
        work.promote(call.promote_limit);
        let claimed = call.claims.iter().map(|claim| work.claim(claim)).collect();
        if work.is_durable() {
            let entry = JournalEntry {
                position,
                at: call.now,
                jobs: std::mem::take(&mut work.jobs),
                queues: std::mem::take(&mut work.queues),
                idempotency_records: std::mem::take(&mut work.memories),
            };
            let mut appended = self.journal.append(&entry);
            if let Err(AppendError::Full(_)) = &appended
                && self.ballast.spend(call.now)
                && !has_new
            {
                appended = self.journal.append(&entry);
            }
            let bytes = match appended {
                Ok(bytes) => bytes,
                Err(error) => {
                    work.roll_back();
                    return Err(error.into());
                }
            };
            self.ring.push(Arc::new(entry), bytes);
            self.position = position;
            self.head.send_replace(position);
        }
        let ready = work.still_ready();
        let next_due_at = self.hot.next_due_at(call.now);
        Ok(CommitResult { position: self.position, results, claimed, ready, next_due_at })
    }

    pub(crate) fn tail(&self, after: Position, limit: usize) -> TailPart {
        // The default position is before the first entry of any epoch.
        let is_start = after == Position::default();
        if !is_start && (after.epoch != self.position.epoch || after.seq > self.position.seq) {
            return TailPart::Here(JournalPage::OtherEpoch);
        }
        if after.seq == self.position.seq {
            return TailPart::Here(JournalPage::Entries(Vec::new()));
        }
        let limit = limit.max(1);
        if after.seq + 1 < self.journal.first() {
            return TailPart::Here(JournalPage::Trimmed);
        }
        if let Some(entries) = self.ring.after(after.seq, limit) {
            return TailPart::Here(JournalPage::Entries(entries));
        }
        match self.journal.file_with(after.seq + 1) {
            None => TailPart::Here(JournalPage::Trimmed),
            Some(file) => {
                let after = Position { seq: after.seq, ..self.position };
                TailPart::Older(Older { file, after, limit, head: self.position.seq })
            }
        }
    }

    pub(crate) fn trim(&mut self, trim: &TrimRequest) -> TrimResult {
        if trim.projected.epoch != self.position.epoch {
            return TrimResult::default();
        }
        let projected = trim.projected.seq;
        self.journal.trim(trim, projected);
        self.hot.evict_finals(trim, projected)
    }
}

fn is_create(change: &Mutation) -> bool {
    change.needs_space()
}

impl From<AppendError> for StoreError {
    fn from(error: AppendError) -> Self {
        match error {
            AppendError::Full(detail) => Self::Full(detail),
            AppendError::Failed(detail) => Self::OutcomeUnknown(detail),
        }
    }
}
