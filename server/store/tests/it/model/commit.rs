//! One call in flight: what waits goes out under one number, and what became of it is told. The
//! server decides on the copies that it has; after a conflict it decides on what is there.

use std::sync::Arc;

use sentinel_domain::{Command, Job, SessionId};
use sentinel_store::conformance::fixture;
use sentinel_store::{
    CommitRequest, CommitResult, Conflict, Mutation, ServerId, Store, Transaction,
    TransactionResult,
};

use super::ask::now;
use super::step::Fate;
use super::world::{Asked, Held, JOBS, Plant, Server, Submission, WORKERS, Who, World};

impl World {
    pub(crate) fn commit(&mut self, fate: Fate) {
        if fate != Fate::Told {
            self.left.faults -= 1;
        }
        self.commit_now(fate, true);
    }

    pub(crate) fn commit_now(&mut self, fate: Fate, claims: bool) {
        let Some(mut server) = self.server.take() else { return };
        let repeats = server.unsettled.is_some();
        let (mut call, submissions) = match server.unsettled.take() {
            Some(unsettled) => unsettled,
            None => self.next_call(&mut server, claims),
        };
        if self.plant == Some(Plant::NewNumber) && call.number < server.number {
            call.number = server.number;
        }
        let (is_sent, is_told) = (fate != Fate::CallLost, fate == Fate::Told);
        let outcome = is_sent.then(|| {
            let outcome = now(self.store.commit(call.clone()));
            self.note_rows(&call, &outcome);
            outcome
        });
        match outcome.filter(|_| is_told) {
            None => {
                if self.plant == Some(Plant::NewNumber) {
                    server.number += 1;
                }
                self.is_applied = is_sent || (repeats && self.is_applied);
                server.unsettled = Some((call, submissions));
                self.server = Some(server);
            }
            Some(outcome) => {
                self.server = Some(server);
                self.landed(&call, submissions, outcome);
            }
        }
    }

    pub(crate) fn next_call(
        &self,
        server: &mut Server,
        claims: bool,
    ) -> (CommitRequest, Vec<Submission>) {
        server.number += 1;
        let submissions = std::mem::take(&mut server.waiting);
        let mut transactions: Vec<Transaction> = submissions.iter().map(|s| s.group.clone()).collect();
        if self.plant == Some(Plant::NoGuards) {
            transactions.iter_mut().for_each(|group| group.preconditions.clear());
        }
        let with_room = (0..WORKERS).filter(|place| claims && self.has_room(server, *place));
        let session = |place: usize| self.workers[place].session;
        let claims = with_room.filter_map(session).map(|s| fixture::claim(s, &["q"], &["k"], 1));
        let call = CommitRequest {
            writer: ServerId(self.servers),
            number: server.number,
            now: self.now,
            transactions,
            promote_limit: JOBS,
            claims: claims.collect(),
        };
        (call, submissions)
    }

    pub(crate) fn note_rows(&mut self, call: &CommitRequest, outcome: &CommitResult) {
        for (group, verdict) in call.transactions.iter().zip(&outcome.results) {
            for change in group.mutations.iter().filter(|_| *verdict == TransactionResult::Committed)
            {
                match change {
                    Mutation::PutSession(row) => drop(self.rows.insert(row.id, row.expires_at)),
                    Mutation::DropSession(id) => drop(self.rows.remove(id)),
                    _ => {}
                }
            }
        }
    }

    pub(crate) fn landed(
        &mut self,
        call: &CommitRequest,
        submissions: Vec<Submission>,
        outcome: CommitResult,
    ) {
        let CommitResult { results, claimed, .. } = outcome;
        for (claim, jobs) in call.claims.iter().zip(claimed) {
            // Handed out first: what was decided about them in this call comes behind.
            jobs.into_iter().for_each(|job| self.hand_out(claim.session, job));
        }
        for (submission, verdict) in submissions.into_iter().zip(results) {
            self.told(submission, verdict);
        }
    }

    pub(crate) fn hand_out(&mut self, session: SessionId, job: Arc<Job>) {
        let place = self.place(session).filter(|place| self.workers[*place].is_connected);
        match (place, job.status.lease) {
            (Some(place), _) => {
                self.workers[place].incoming.push(job.clone());
                if let Some(server) = &mut self.server {
                    server.copies[place].push(job);
                }
            }
            // In nobody's hands: the sweeper gives it back.
            (None, Some(lease)) => {
                self.submit_decided(Who::Sweep, &job, Command::NotReceived { lease: lease.id });
            }
            (None, None) => {}
        }
    }

    pub(crate) fn told(&mut self, submission: Submission, verdict: TransactionResult) {
        match verdict {
            TransactionResult::Committed => self.committed(&submission),
            TransactionResult::Replayed(_) => {
                if let Some(job) = &submission.after {
                    let which = self.which(job.id);
                    self.clients[which].enqueue = Asked::Answered;
                }
            }
            TransactionResult::Conflict(Conflict::Job { current: Some(current), .. }) => {
                self.again(&submission, &current);
            }
            TransactionResult::Conflict(_) | TransactionResult::IdempotencyKeyReused => {}
        }
    }

    pub(crate) fn committed(&mut self, submission: &Submission) {
        let before = submission.decided.as_ref().map(|(job, _)| job);
        let held = before.and_then(|job| Held::of(job));
        match (submission.who, &submission.after) {
            (Who::Enqueue, Some(job)) => {
                let which = self.which(job.id);
                self.clients[which].enqueue = Asked::Answered;
            }
            (Who::Cancel, Some(job)) => self.cancel_told(job),
            (Who::Retry, Some(job)) => {
                let which = self.which(job.id);
                self.clients[which].retry = Asked::Answered;
            }
            (Who::Report { worker }, Some(job)) => {
                let Some(held) = held else { return };
                self.lease_ended(held);
                if self.workers[worker].session == Some(held.lease.session) {
                    let life = self.life(job.id);
                    life.told_twice |= !life.told.insert(held.lease.epoch);
                }
            }
            (Who::Row { worker, joins: true }, _) => self.joined(worker),
            (Who::Sweep | Who::HandBack { .. }, _) => {
                held.into_iter().for_each(|held| self.lease_ended(held));
            }
            _ => {}
        }
    }

    /// The server forgets its copy; the worker hears of it if there is a stream.
    pub(crate) fn lease_ended(&mut self, held: Held) {
        let Some(place) = self.place(held.lease.session) else { return };
        if let Some(server) = &mut self.server {
            server.copies[place].retain(|copy| Held::of(copy) != Some(held));
        }
        if self.workers[place].is_connected {
            if self.plant != Some(Plant::BeginsLate) {
                self.workers[place].incoming.retain(|job| Held::of(job) != Some(held));
            }
            self.let_go(place, held);
        }
    }

    pub(crate) fn cancel_told(&mut self, job: &Arc<Job>) {
        let which = self.which(job.id);
        self.clients[which].cancel = Asked::Answered;
        let Some(held) = Held::of(job) else {
            let run = job.status.run;
            self.life(job.id).cancelled_runs.insert(run);
            return;
        };
        let Some(place) = self.place(held.lease.session) else { return };
        let is_it = |copy: &&mut Arc<Job>| Held::of(copy) == Some(held);
        if let Some(server) = &mut self.server {
            server.copies[place].iter_mut().filter(is_it).for_each(|copy| *copy = job.clone());
        }
        let worker = &mut self.workers[place];
        if worker.is_connected {
            worker.incoming.iter_mut().filter(is_it).for_each(|copy| *copy = job.clone());
            let hands = worker.hands.iter_mut().filter(|hand| hand.held == held);
            hands.for_each(|hand| hand.is_cancelled = true);
        }
    }

    /// The job changed: who asked asks again, the sweeper looks again.
    pub(crate) fn again(&mut self, submission: &Submission, current: &Arc<Job>) {
        match (submission.who, &submission.decided) {
            // The parent changed: the caller is served on what it is now.
            (Who::Enqueue, _) => {
                let job = submission.after.as_ref().map(|job| job.id);
                if let Some(id) = job {
                    self.enqueue(self.which(id));
                }
            }
            (Who::Cancel, Some((_, command))) => {
                let is_taken = self.submit_decided(Who::Cancel, current, command.clone());
                let answered = if is_taken { Asked::Open } else { Asked::Answered };
                let which = self.which(current.id);
                self.clients[which].cancel = answered;
            }
            (Who::Retry, Some(_)) => {
                let which = self.which(current.id);
                self.clients[which].retry = Asked::Answered;
            }
            (Who::Report { worker }, Some((before, command))) => {
                let is_taken = self.submit_decided(submission.who, current, command.clone());
                if let (false, Some(held)) = (is_taken, Held::of(before)) {
                    self.lease_ended(held);
                    self.let_go(worker, held);
                }
            }
            // An orphan is in nobody's hands: nobody else finds it.
            (
                Who::HandBack { .. } | Who::Sweep,
                Some((before, command @ Command::NotReceived { .. })),
            ) if Held::of(current) == Held::of(before) => {
                self.submit_decided(submission.who, current, command.clone());
            }
            _ => {}
        }
    }
}
