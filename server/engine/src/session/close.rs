//! The end of a stream, and what it means for the leases.

use futures_util::StreamExt;
use sentinel_broker::{Change, Group, Guard, SessionRow};

use super::{Done, Ended, ReportVerdict, Session};

impl Session {
    /// The end of the stream; what becomes of the leases depends on how it ended.
    pub(super) async fn close(mut self, ended: Ended) {
        tracing::info!(session = %self.id, worker = %self.worker, ?ended, "a worker session ended");
        if ended == Ended::Superseded {
            return;
        }
        self.engine.demand.leave(self.id);
        self.engine.roster.leave(self.id, &self.mailbox);
        self.barrier().await;
        // Reports that have arrived are recorded, though nobody waits for the verdict.
        while let Some(done) = self.in_flight.next().await {
            if let Done::Settled(settled) = done {
                for settled in settled.iter().filter(|s| s.verdict != ReportVerdict::RetryLater) {
                    self.forget(&settled.held);
                }
            }
        }
        let mut back = self.mailbox.take().assigned;
        let unreceived = std::mem::take(&mut self.unreceived);
        for id in unreceived.into_iter().flat_map(|u| u.jobs) {
            back.extend(self.running.remove(&id).map(|r| r.job));
        }
        if ended == Ended::Bye {
            back.extend(self.running.drain().map(|(_, r)| r.job));
        }
        self.engine.hand_back(back).await;
        self.leave_row(ended).await;
    }

    async fn leave_row(&mut self, ended: Ended) {
        let now = self.engine.now();
        let settings = &self.engine.settings;
        let mut groups = Vec::new();
        match ended {
            // The row expires by itself; it was last renewed when the worker was heard.
            Ended::Silent | Ended::Superseded => {}
            Ended::Drained => groups.push(self.row_until(now + settings.session_ttl_ms)),
            Ended::Bye => groups
                .push(Group { changes: vec![Change::DropSession(self.id)], ..self.row_until(now) }),
            Ended::Eof => {
                groups.push(self.row_until(now + settings.lost_grace_ms));
                for session in self.engine.roster.suspects(self.id, now) {
                    let owner = self.engine.server;
                    let expires_at = now + settings.session_ttl_ms;
                    groups.push(Group {
                        request: None,
                        guards: vec![Guard::SessionOwner { session, owner }],
                        changes: vec![Change::PutSession(SessionRow {
                            id: session,
                            owner,
                            expires_at,
                        })],
                    });
                }
            }
        }
        if let Err(error) = self.engine.commits.groups(groups).await {
            tracing::debug!(%error, session = %self.id, "the end of a session was not noted");
        }
    }
}
