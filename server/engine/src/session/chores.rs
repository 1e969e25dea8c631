//! What a session does by the clock: takes back what was not received, renews its row,
//! shows and keeps progress.

use sentinel_domain::Millis;
use sentinel_store::{
    Conflict, Mutation, Precondition, SessionRow, Transaction, TransactionResult,
};

use super::{Done, Ended, Held, Session};

/// Progress of one job reaches watchers at most so often.
const PROGRESS_EVERY_MS: Millis = 100;

/// Progress of one job is stored at most so often.
const PROGRESS_KEPT_EVERY_MS: Millis = 1_000;

impl Session {
    pub(super) fn on_progress(&mut self, held: &Held, progress: sentinel_domain::Progress) {
        let now = self.engine.now();
        let Some(running) = self.running(held) else { return };
        if running.progress.as_ref().is_some_and(|p| p.seq >= progress.seq) {
            return;
        }
        running.is_kept = false;
        running.is_shown = now - running.shown_at >= PROGRESS_EVERY_MS;
        if running.is_shown {
            running.shown_at = now;
            let job = running.job.clone();
            running.progress = Some(progress.clone());
            self.engine.fanout.progress(&job, held.lease.attempt, &progress);
        } else {
            running.progress = Some(progress);
        }
    }

    pub(super) async fn on_tick(&mut self) -> Result<(), Ended> {
        let now = self.engine.now();
        if now - self.heard_at > self.engine.settings.session_ttl_ms {
            return Err(Ended::Silent);
        }
        self.take_back_unreceived(now);
        self.keep_progress(now);
        if now - self.renewed_at >= self.engine.settings.session_ttl_ms / 3 {
            self.renew();
        }
        Ok(())
    }

    /// Tells the store that the worker was heard, and learns whether another server has the
    /// session by now.
    pub(super) fn renew(&mut self) {
        self.renewed_at = self.engine.now();
        let group = self.row_until(self.heard_at + self.engine.settings.session_ttl_ms);
        let engine = self.engine.clone();
        self.in_flight.push(Box::pin(async move {
            match engine.commits.group(group).await {
                Ok(TransactionResult::Conflict(Conflict::Session { .. })) => {
                    Done::Renewed { is_ours: false }
                }
                _ => Done::Renewed { is_ours: true },
            }
        }));
    }

    pub(super) fn row_until(&self, expires_at: Millis) -> Transaction {
        let owner = self.engine.server;
        let row = SessionRow { id: self.id, owner, expires_at };
        Transaction { changes: vec![Mutation::PutSession(row)], ..self.owned() }
    }

    /// A group that is applied while the session is this server's.
    pub(super) fn owned(&self) -> Transaction {
        let guard = Precondition::SessionOwner { session: self.id, owner: self.engine.server };
        Transaction { guards: vec![guard], ..Transaction::default() }
    }

    fn take_back_unreceived(&mut self, now: Millis) {
        let timeout_ms = self.engine.settings.receive_timeout_ms;
        let mut back = Vec::new();
        while let Some(oldest) = self.unreceived.front()
            && now - oldest.sent_at > timeout_ms
        {
            for id in self.unreceived.pop_front().map(|u| u.jobs).unwrap_or_default() {
                back.extend(self.running.remove(&id).map(|r| r.job));
            }
        }
        if !back.is_empty() {
            tracing::warn!(session = %self.id, jobs = back.len(), "assignments were not received in time");
            let engine = self.engine.clone();
            self.in_flight.push(Box::pin(async move {
                let owner = Some(engine.server);
                Done::HandedBack(engine.hand_back(back, owner).await)
            }));
        }
    }

    fn keep_progress(&mut self, now: Millis) {
        let mut changes = Vec::new();
        for (id, running) in &mut self.running {
            let Some(progress) = &running.progress else { continue };
            let Some(lease) = running.job.status.lease else { continue };
            if !running.is_shown {
                running.is_shown = true;
                running.shown_at = now;
                self.engine.fanout.progress(&running.job, lease.attempt, progress);
            }
            if !running.is_kept && now - running.kept_at >= PROGRESS_KEPT_EVERY_MS {
                running.is_kept = true;
                running.kept_at = now;
                let (epoch, progress) = (lease.epoch, progress.clone());
                changes.push(Mutation::Progress { id: *id, epoch, progress });
            }
        }
        if !changes.is_empty() {
            let engine = self.engine.clone();
            let group = Transaction { request: None, guards: Vec::new(), changes };
            self.in_flight.push(Box::pin(async move {
                let _ = engine.commits.group(group).await;
                Done::Nothing
            }));
        }
    }
}
