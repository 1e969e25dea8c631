//! The steps of the server: submissions, sweeps, crashes and starts.

use std::sync::Arc;

use sentinel_domain::{Command, Job, JobId, deadline_command, decide};
use sentinel_store::conformance::fixture;
use sentinel_store::{Mutation, Precondition, ServerId, Store, Transaction};

use super::poll::poll_now;
use super::state::{
    InjectedBug, ModelState, RequestState, Server, Submission, Submitter, TICK, WORKERS,
};
use super::step::CommitOutcome;

impl ModelState {
    pub(crate) fn read(&self, id: JobId) -> Option<Arc<Job>> {
        poll_now(self.store.read(vec![id])).remove(0)
    }

    pub(crate) fn submit(&mut self, submission: Submission) {
        if let Some(server) = &mut self.server {
            server.waiting.push(submission);
        }
    }

    /// Decides and submits. Returns false if the command is refused.
    pub(crate) fn decide_and_submit(
        &mut self,
        submitter: Submitter,
        job: &Arc<Job>,
        command: Command,
    ) -> bool {
        let Ok(decision) = decide(job, &command, self.now) else { return false };
        let mut transaction = fixture::update(job, decision.clone());
        if let (Submitter::ReturnToQueue { .. }, Some(lease)) = (submitter, job.status.lease) {
            let (session, owner) = (lease.id.session, ServerId(self.servers));
            transaction.preconditions.push(Precondition::SessionOwner { session, owner });
        }
        let after = Some(Arc::new(decision.job));
        self.submit(Submission {
            submitter,
            decided: Some((job.clone(), command)),
            transaction,
            after,
        });
        true
    }

    pub(crate) fn due_work(&self) -> Vec<Submission> {
        let mut state = self.clone();
        state.sweep();
        let found = state.server.map(|server| server.waiting).unwrap_or_default();
        let known = self.server.as_ref().map_or(0, |server| server.waiting.len());
        let is_new = |s: &Submission| !self.is_waiting(|other| is_same_sweep(other, s));
        found.into_iter().skip(known).filter(is_new).collect()
    }

    pub(crate) fn can_sweep(&self) -> bool {
        self.bug != Some(InjectedBug::NoSweeper) && !self.due_work().is_empty()
    }

    /// Submits commands for all due work.
    pub(crate) fn sweep(&mut self) {
        let found = poll_now(self.store.due_work(self.now, 100));
        let mut work = Vec::new();
        for job in found.lost {
            let session = job.status.lease.map(|lease| lease.id.session);
            work.extend(session.map(|session| (job, Command::MarkLost { session })));
        }
        for job in found.past_deadline {
            let command = deadline_command(&job, self.now, 0);
            work.extend(command.map(|command| (job, command)));
        }
        for found in found.unblocked {
            let (parent, outcome) = (found.parent, found.outcome);
            work.push((found.job, Command::Unblock { parent, outcome }));
        }
        for (job, command) in work {
            self.decide_and_submit(Submitter::Sweep, &job, command);
        }
        for row in found.expired_sessions {
            // A worker that rejoins is present before it puts its row.
            if self.slot(row.id).is_none_or(|slot| !self.is_present(slot)) {
                let preconditions =
                    vec![Precondition::SessionOwner { session: row.id, owner: row.owner }];
                let transaction = Transaction {
                    idempotency: None,
                    preconditions,
                    mutations: vec![Mutation::DropSession(row.id)],
                };
                let submitter = Submitter::Sweep;
                self.submit(Submission { submitter, decided: None, transaction, after: None });
            }
        }
    }

    pub(crate) fn crash_server(&mut self) {
        self.remaining.faults -= 1;
        self.server = None;
        for worker in &mut self.workers {
            worker.incoming.clear();
            worker.is_connected = false;
        }
        // Callers do not repeat cancels and retries that were not answered.
        for client in &mut self.clients {
            for request in [&mut client.cancel, &mut client.retry] {
                if *request == RequestState::Pending {
                    *request = RequestState::Answered;
                }
            }
        }
    }

    /// Starts a server. Sessions do not expire for the time without a server.
    pub(crate) fn start_server(&mut self) {
        self.servers += 1;
        self.server = Some(Server::default());
        let until = self.now + TICK;
        poll_now(self.store.extend_sessions(until));
        self.rows.values_mut().for_each(|at| *at = (*at).max(until));
    }

    /// Advances the clock. Sessions with a stream are extended.
    pub(crate) fn tick(&mut self) {
        self.remaining.ticks = self.remaining.ticks.saturating_sub(1);
        self.now += TICK;
        let Some(server) = &mut self.server else { return };
        let waiting = std::mem::take(&mut server.waiting);
        for slot in 0..WORKERS {
            if self.workers[slot].is_connected {
                self.put_row(slot, false);
            }
        }
        self.commit_now(CommitOutcome::Acknowledged, false);
        if let Some(server) = &mut self.server {
            server.waiting = waiting;
        }
    }
}

fn is_same_sweep(one: &Submission, other: &Submission) -> bool {
    let job = |s: &Submission| s.after.as_ref().map(|job| job.id);
    let row = |s: &Submission| match s.transaction.mutations.first() {
        Some(Mutation::DropSession(id)) => Some(*id),
        _ => None,
    };
    one.submitter == Submitter::Sweep && job(one) == job(other) && row(one) == row(other)
}
