//! The timers of a session: take back unacknowledged assignments, renew the row, show and store
//! progress.

use sentinel_domain::{Millis, Progress};
use sentinel_store::{
    Conflict, Mutation, Precondition, SessionRow, Transaction, TransactionResult,
};

use super::actor::{Completion, Session};
use super::frame::StreamEnd;
use crate::dispatch::HeldLease;

/// The least time between two updates of watches with the progress of one job.
const SHOW_PROGRESS_EVERY_MS: Millis = 100;

/// The least time between two writes of the progress of one job.
const STORE_PROGRESS_EVERY_MS: Millis = 1_000;

impl Session {
    pub(super) fn on_progress(&mut self, held: &HeldLease, progress: Progress) {
        let now = self.context.clock.now();
        let Some(running) = self.running(held) else { return };
        if running.progress.as_ref().is_some_and(|p| p.seq >= progress.seq) {
            return;
        }
        running.is_stored = false;
        running.is_shown = now - running.shown_at >= SHOW_PROGRESS_EVERY_MS;
        running.progress = Some(progress.clone());
        if running.is_shown {
            running.shown_at = now;
            let job = running.job.clone();
            self.context.fanout.offer_progress(&job, held.lease.attempt, &progress);
        }
    }

    pub(super) async fn on_tick(&mut self) -> Result<(), StreamEnd> {
        let now = self.context.clock.now();
        let ttl_ms = self.context.settings.session_ttl_ms;
        if now - self.last_frame_at > ttl_ms {
            return Err(StreamEnd::Silent);
        }
        self.take_back_unreceived(now);
        self.flush_progress(now);
        if now - self.renewed_at >= ttl_ms / 3 {
            self.renew();
        }
        Ok(())
    }

    /// Extends the session to one TTL after the last frame. Shows whether a peer has adopted the
    /// session.
    pub(super) fn renew(&mut self) {
        self.renewed_at = self.context.clock.now();
        let expires_at = self.last_frame_at + self.context.settings.session_ttl_ms;
        let transaction = self.row_transaction(expires_at);
        let context = self.context.clone();
        self.spawn(async move {
            match context.committer.submit(transaction).await {
                Ok(TransactionResult::Conflict(Conflict::Session { .. })) => {
                    Completion::Renewed { is_owned: false }
                }
                _ => Completion::Renewed { is_owned: true },
            }
        });
    }

    fn row_transaction(&self, expires_at: Millis) -> Transaction {
        let row = SessionRow { id: self.id, owner: self.context.server, expires_at };
        Transaction { mutations: vec![Mutation::PutSession(row)], ..self.owned_transaction() }
    }

    /// Returns a transaction that is applied only while this server owns the session.
    pub(super) fn owned_transaction(&self) -> Transaction {
        let (session, owner) = (self.id, self.context.server);
        let preconditions = vec![Precondition::SessionOwner { session, owner }];
        Transaction { preconditions, ..Transaction::default() }
    }

    fn take_back_unreceived(&mut self, now: Millis) {
        let timeout_ms = self.context.settings.receive_timeout_ms;
        let mut jobs = Vec::new();
        while let Some(oldest) = self.unreceived.front()
            && now - oldest.sent_at > timeout_ms
        {
            for id in self.unreceived.pop_front().map(|u| u.jobs).unwrap_or_default() {
                jobs.extend(self.running.remove(&id).map(|running| running.job));
            }
        }
        if !jobs.is_empty() {
            tracing::warn!(
                session = %self.id,
                jobs = jobs.len(),
                "worker did not acknowledge assignments in time, handing them back"
            );
            let context = self.context.clone();
            self.spawn(async move {
                let owner = Some(context.server);
                Completion::HandedBack(context.returner.hand_back(jobs, owner).await)
            });
        }
    }

    /// Shows and stores progress that was held back by the rate limits.
    fn flush_progress(&mut self, now: Millis) {
        let mut mutations = Vec::new();
        for (id, running) in &mut self.running {
            let Some(progress) = &running.progress else { continue };
            let Some(lease) = running.job.status.lease.map(|lease| lease.id) else { continue };
            if !running.is_shown {
                running.is_shown = true;
                running.shown_at = now;
                self.context.fanout.offer_progress(&running.job, lease.attempt, progress);
            }
            if !running.is_stored && now - running.stored_at >= STORE_PROGRESS_EVERY_MS {
                running.is_stored = true;
                running.stored_at = now;
                let (epoch, progress) = (lease.epoch, progress.clone());
                mutations.push(Mutation::Progress { id: *id, epoch, progress });
            }
        }
        if !mutations.is_empty() {
            let context = self.context.clone();
            let transaction = Transaction { mutations, ..Transaction::default() };
            self.spawn(async move {
                let _ = context.committer.submit(transaction).await;
                Completion::Nothing
            });
        }
    }
}
