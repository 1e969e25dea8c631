//! The close of a stream, and its effect on the leases.

use std::sync::Arc;

use futures_util::StreamExt;
use sentinel_domain::{Job, Millis, SessionId};
use sentinel_store::{Mutation, Precondition, SessionRow, Transaction};

use super::actor::{Completion, Session};
use super::frame::{ReportVerdict, StreamEnd, ToWorker};

impl Session {
    /// Closes the stream. The next stream of the session at this server waits until this is done.
    pub(super) async fn close(mut self, end: StreamEnd) {
        tracing::info!(session = %self.id, worker = %self.worker, ?end, "worker stream closed");
        if end == StreamEnd::Eof {
            self.context.registry.record_disconnect(self.id, self.context.clock.now());
        }
        self.context.scheduler.leave(self.id);
        self.wait_for_claims().await;
        self.finish_reports().await;
        // Checked last: if a newer stream has the session, that stream decides about its leases.
        if end == StreamEnd::Superseded || self.outbox.is_superseded() {
            return;
        }
        let jobs = self.take_unstarted_jobs(end);
        self.context.returner.hand_back(jobs, Some(self.context.server)).await;
        self.set_session_expiry(end).await;
    }

    /// Records the reports that have arrived. Their verdicts are sent if the worker still reads.
    async fn finish_reports(&mut self) {
        while let Some(completion) = self.in_flight.next().await {
            if let Completion::Reports(settled) = completion {
                for report in settled.iter().filter(|r| r.verdict != ReportVerdict::RetryLater) {
                    self.remove(&report.held);
                }
                let verdicts = settled.into_iter().map(|r| (r.held, r.verdict)).collect();
                self.outbound.try_send_control(ToWorker::ReportAck(verdicts));
            }
        }
    }

    /// Returns the jobs that the worker did not receive, or does not run after its Bye.
    ///
    /// A job that was sent and not acknowledged stays leased: its handler may have started, and
    /// may have crashed the worker. A worker that resumes its session says what it holds.
    fn take_unstarted_jobs(&mut self, end: StreamEnd) -> Vec<Arc<Job>> {
        let mut jobs = self.outbox.take().assigned;
        jobs.extend(self.isolation.take_waiting());
        if end == StreamEnd::Bye {
            jobs.extend(self.running.drain().map(|(_, running)| running.job));
        }
        jobs
    }

    fn row_transaction_of(&self, session: SessionId, expires_at: Millis) -> Transaction {
        let owner = self.context.server;
        Transaction {
            preconditions: vec![Precondition::SessionOwner { session, owner }],
            mutations: vec![Mutation::PutSession(SessionRow { id: session, owner, expires_at })],
            ..Transaction::default()
        }
    }

    /// Sets how long the session lives without a stream.
    async fn set_session_expiry(&mut self, end: StreamEnd) {
        let now = self.context.clock.now();
        let settings = &self.context.settings;
        let with_ttl = now + settings.session_ttl_ms;
        let transactions = match end {
            // The row expires; it was renewed for the last frame.
            StreamEnd::Silent | StreamEnd::Superseded => return,
            StreamEnd::Drained => vec![self.row_transaction_of(self.id, with_ttl)],
            StreamEnd::Bye => {
                let mutations = vec![Mutation::DropSession(self.id)];
                vec![Transaction { mutations, ..self.row_transaction_of(self.id, now) }]
            }
            StreamEnd::Eof => match self.context.registry.suspect_network(self.id, now) {
                None => vec![self.row_transaction_of(self.id, now + settings.lost_grace_ms)],
                Some(others) => {
                    let all = others.into_iter().chain([self.id]);
                    all.map(|session| self.row_transaction_of(session, with_ttl)).collect()
                }
            },
        };
        if let Err(error) = self.context.committer.submit_all(transactions).await {
            tracing::debug!(%error, session = %self.id, "close of a session could not be stored");
        }
    }
}
