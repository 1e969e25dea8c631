//! The end of a stream, and what it means for the leases.

use std::sync::Arc;

use futures_util::StreamExt;
use sentinel_domain::{Job, Millis, SessionId};
use sentinel_store::{Mutation, Precondition, SessionRow, Transaction};

use super::{Done, Ended, ReportVerdict, Session, ToWorker};

impl Session {
    /// The end of the stream; what becomes of the leases depends on how it ended. The
    /// session's next stream here waits until this is done.
    pub(super) async fn close(mut self, ended: Ended) {
        tracing::info!(session = %self.id, worker = %self.worker, ?ended, "a worker session ended");
        if ended == Ended::Eof {
            self.engine.roster.note_end(self.id, self.engine.now());
        }
        self.engine.demand.leave(self.id);
        self.barrier().await;
        self.finish_reports().await;
        // Asked last: whoever took over meanwhile judges the leases by what it finds.
        if ended == Ended::Superseded || self.mailbox.is_superseded() {
            return;
        }
        let back = self.not_run(ended);
        self.engine.hand_back(back, Some(self.engine.server)).await;
        self.leave_row(ended).await;
    }

    /// Reports that have arrived are recorded; their verdicts go out if anybody still reads.
    async fn finish_reports(&mut self) {
        while let Some(done) = self.in_flight.next().await {
            if let Done::Settled(settled) = done {
                for settled in settled.iter().filter(|s| s.verdict != ReportVerdict::RetryLater) {
                    self.forget(&settled.held);
                }
                let verdicts = settled.into_iter().map(|s| (s.held, s.verdict)).collect();
                let _ = self.lanes.control.try_send(ToWorker::ReportAck(verdicts));
            }
        }
    }

    /// What the worker did not get, or says that it does not run.
    fn not_run(&mut self, ended: Ended) -> Vec<Arc<Job>> {
        // What was sent and not acknowledged stays leased: its handler may have begun, and may
        // be what took the worker down. A worker that comes back says what it holds.
        let mut back = self.mailbox.take().assigned;
        back.extend(self.suspects.take_waiting());
        if ended == Ended::Bye {
            back.extend(self.running.drain().map(|(_, r)| r.job));
        }
        back
    }

    fn row_of(&self, session: SessionId, expires_at: Millis) -> Transaction {
        let owner = self.engine.server;
        Transaction {
            request: None,
            guards: vec![Precondition::SessionOwner { session, owner }],
            changes: vec![Mutation::PutSession(SessionRow { id: session, owner, expires_at })],
        }
    }

    async fn leave_row(&mut self, ended: Ended) {
        let now = self.engine.now();
        let settings = &self.engine.settings;
        let with_ttl = now + settings.session_ttl_ms;
        let groups = match ended {
            // The row expires by itself; it was last renewed when the worker was heard.
            Ended::Silent | Ended::Superseded => return,
            Ended::Drained => vec![self.row_of(self.id, with_ttl)],
            Ended::Bye => {
                let changes = vec![Mutation::DropSession(self.id)];
                vec![Transaction { changes, ..self.row_of(self.id, now) }]
            }
            Ended::Eof => match self.engine.roster.suspects(self.id, now) {
                None => vec![self.row_of(self.id, now + settings.lost_grace_ms)],
                Some(others) => {
                    let all = others.into_iter().chain([self.id]);
                    all.map(|session| self.row_of(session, with_ttl)).collect()
                }
            },
        };
        if let Err(error) = self.engine.commits.groups(groups).await {
            tracing::debug!(%error, session = %self.id, "the end of a session was not noted");
        }
    }
}
