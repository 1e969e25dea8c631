//! The commits of the server. One request is in flight at a time, with all waiting submissions. The
//! server decides on its copies of jobs; after a conflict it decides on the current version.

use std::sync::Arc;

use sentinel_domain::{Command, Job, SessionId};
use sentinel_store::conformance::fixture;
use sentinel_store::{
    CommitRequest, CommitResult, Conflict, Mutation, ServerId, Store, Transaction,
    TransactionResult,
};

use super::poll::poll_now;
use super::state::{
    HeldLease, InjectedBug, JOBS, ModelState, RequestState, Server, Submission, Submitter, WORKERS,
};
use super::step::CommitOutcome;

impl ModelState {
    pub(crate) fn commit(&mut self, outcome: CommitOutcome) {
        if outcome != CommitOutcome::Acknowledged {
            self.remaining.faults -= 1;
        }
        self.commit_now(outcome, true);
    }

    pub(crate) fn commit_now(&mut self, outcome: CommitOutcome, claims: bool) {
        let Some(mut server) = self.server.take() else { return };
        let repeats = server.in_flight.is_some();
        let (mut request, submissions) = match server.in_flight.take() {
            Some(in_flight) => in_flight,
            None => self.next_request(&mut server, claims),
        };
        if self.bug == Some(InjectedBug::NewRequestNumber) && request.number < server.number {
            request.number = server.number;
        }
        let (is_sent, is_acknowledged) =
            (outcome != CommitOutcome::RequestLost, outcome == CommitOutcome::Acknowledged);
        let outcome = is_sent.then(|| {
            let outcome = poll_now(self.store.commit(request.clone()));
            self.note_rows(&request, &outcome);
            outcome
        });
        match outcome.filter(|_| is_acknowledged) {
            None => {
                if self.bug == Some(InjectedBug::NewRequestNumber) {
                    server.number += 1;
                }
                self.is_applied = is_sent || (repeats && self.is_applied);
                server.in_flight = Some((request, submissions));
                self.server = Some(server);
            }
            Some(outcome) => {
                self.server = Some(server);
                self.complete(&request, submissions, outcome);
            }
        }
    }

    pub(crate) fn next_request(
        &self,
        server: &mut Server,
        claims: bool,
    ) -> (CommitRequest, Vec<Submission>) {
        server.number += 1;
        let submissions = std::mem::take(&mut server.waiting);
        let mut transactions: Vec<Transaction> =
            submissions.iter().map(|s| s.transaction.clone()).collect();
        if self.bug == Some(InjectedBug::NoPreconditions) {
            transactions.iter_mut().for_each(|transaction| transaction.preconditions.clear());
        }
        let with_room = (0..WORKERS).filter(|slot| claims && self.has_room(server, *slot));
        let session = |slot: usize| self.workers[slot].session;
        let claims = with_room.filter_map(session).map(|s| fixture::claim(s, &["q"], &["k"], 1));
        let request = CommitRequest {
            writer: ServerId(self.servers),
            number: server.number,
            now: self.now,
            transactions,
            promote_limit: JOBS,
            claims: claims.collect(),
        };
        (request, submissions)
    }

    pub(crate) fn note_rows(&mut self, request: &CommitRequest, outcome: &CommitResult) {
        for (transaction, result) in request.transactions.iter().zip(&outcome.results) {
            for change in
                transaction.mutations.iter().filter(|_| *result == TransactionResult::Committed)
            {
                match change {
                    Mutation::PutSession(row) => drop(self.rows.insert(row.id, row.expires_at)),
                    Mutation::DropSession(id) => drop(self.rows.remove(id)),
                    _ => {}
                }
            }
        }
    }

    pub(crate) fn complete(
        &mut self,
        request: &CommitRequest,
        submissions: Vec<Submission>,
        outcome: CommitResult,
    ) {
        let CommitResult { results, claimed, .. } = outcome;
        for (claim, jobs) in request.claims.iter().zip(claimed) {
            // Assignments come before the results of the same commit.
            jobs.into_iter().for_each(|job| self.assign(claim.session, job));
        }
        for (submission, result) in submissions.into_iter().zip(results) {
            self.on_result(submission, result);
        }
    }

    pub(crate) fn assign(&mut self, session: SessionId, job: Arc<Job>) {
        let slot = self.slot(session).filter(|slot| self.workers[*slot].is_connected);
        match (slot, job.status.lease) {
            (Some(slot), _) => {
                self.workers[slot].incoming.push(job.clone());
                if let Some(server) = &mut self.server {
                    server.copies[slot].push(job);
                }
            }
            // No worker receives the job, so the server returns it to its queue.
            (None, Some(lease)) => {
                self.decide_and_submit(
                    Submitter::Sweep,
                    &job,
                    Command::NotReceived { lease: lease.id },
                );
            }
            (None, None) => {}
        }
    }

    pub(crate) fn on_result(&mut self, submission: Submission, result: TransactionResult) {
        match result {
            TransactionResult::Committed => self.committed(&submission),
            TransactionResult::Replayed(_) => {
                if let Some(job) = &submission.after {
                    let index = self.index(job.id);
                    self.clients[index].enqueue = RequestState::Answered;
                }
            }
            TransactionResult::Conflict(Conflict::Job { current: Some(current), .. }) => {
                self.retry_submission(&submission, &current);
            }
            TransactionResult::Conflict(_) | TransactionResult::IdempotencyKeyReused => {}
        }
    }

    pub(crate) fn committed(&mut self, submission: &Submission) {
        let before = submission.decided.as_ref().map(|(job, _)| job);
        let held = before.and_then(|job| HeldLease::of(job));
        match (submission.submitter, &submission.after) {
            (Submitter::Enqueue, Some(job)) => {
                let index = self.index(job.id);
                self.clients[index].enqueue = RequestState::Answered;
            }
            (Submitter::Cancel, Some(job)) => self.on_cancel_committed(job),
            (Submitter::Retry, Some(job)) => {
                let index = self.index(job.id);
                self.clients[index].retry = RequestState::Answered;
            }
            (Submitter::Report { worker }, Some(job)) => {
                let Some(held) = held else { return };
                self.on_lease_ended(held);
                if self.workers[worker].session == Some(held.lease.session) {
                    let history = self.history(job.id);
                    history.recorded_twice |= !history.recorded.insert(held.lease.epoch);
                }
            }
            (Submitter::Row { worker, joins: true }, _) => self.on_joined(worker),
            (Submitter::Sweep | Submitter::ReturnToQueue { .. }, _) => {
                held.into_iter().for_each(|held| self.on_lease_ended(held));
            }
            _ => {}
        }
    }

    /// Removes the server's copy of a job, and notifies the worker if it has a stream.
    pub(crate) fn on_lease_ended(&mut self, held: HeldLease) {
        let Some(slot) = self.slot(held.lease.session) else { return };
        if let Some(server) = &mut self.server {
            server.copies[slot].retain(|copy| HeldLease::of(copy) != Some(held));
        }
        if self.workers[slot].is_connected {
            if self.bug != Some(InjectedBug::StartsAfterTimeout) {
                self.workers[slot].incoming.retain(|job| HeldLease::of(job) != Some(held));
            }
            self.drop_handler(slot, held);
        }
    }

    pub(crate) fn on_cancel_committed(&mut self, job: &Arc<Job>) {
        let index = self.index(job.id);
        self.clients[index].cancel = RequestState::Answered;
        let Some(held) = HeldLease::of(job) else {
            let run = job.status.run;
            self.history(job.id).cancelled_runs.insert(run);
            return;
        };
        let Some(slot) = self.slot(held.lease.session) else { return };
        let is_it = |copy: &&mut Arc<Job>| HeldLease::of(copy) == Some(held);
        if let Some(server) = &mut self.server {
            server.copies[slot].iter_mut().filter(is_it).for_each(|copy| *copy = job.clone());
        }
        let worker = &mut self.workers[slot];
        if worker.is_connected {
            worker.incoming.iter_mut().filter(is_it).for_each(|copy| *copy = job.clone());
            let handlers = worker.handlers.iter_mut().filter(|handler| handler.held == held);
            handlers.for_each(|handler| handler.is_cancelled = true);
        }
    }

    /// Decides again on the current version after a conflict.
    pub(crate) fn retry_submission(&mut self, submission: &Submission, current: &Arc<Job>) {
        match (submission.submitter, &submission.decided) {
            // The parent has changed. Enqueue again with its current version.
            (Submitter::Enqueue, _) => {
                let job = submission.after.as_ref().map(|job| job.id);
                if let Some(id) = job {
                    self.enqueue(self.index(id));
                }
            }
            (Submitter::Cancel, Some((_, command))) => {
                let is_accepted =
                    self.decide_and_submit(Submitter::Cancel, current, command.clone());
                let answered =
                    if is_accepted { RequestState::Pending } else { RequestState::Answered };
                let index = self.index(current.id);
                self.clients[index].cancel = answered;
            }
            (Submitter::Retry, Some(_)) => {
                let index = self.index(current.id);
                self.clients[index].retry = RequestState::Answered;
            }
            (Submitter::Report { worker }, Some((before, command))) => {
                let is_accepted =
                    self.decide_and_submit(submission.submitter, current, command.clone());
                if let (false, Some(held)) = (is_accepted, HeldLease::of(before)) {
                    self.on_lease_ended(held);
                    self.drop_handler(worker, held);
                }
            }
            // No other step returns this job to its queue.
            (
                Submitter::ReturnToQueue { .. } | Submitter::Sweep,
                Some((before, command @ Command::NotReceived { .. })),
            ) if HeldLease::of(current) == HeldLease::of(before) => {
                self.decide_and_submit(submission.submitter, current, command.clone());
            }
            _ => {}
        }
    }
}
