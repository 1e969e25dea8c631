//! The steps of workers, and the server's handling of their streams.

use std::sync::Arc;

use sentinel_domain::{Command, Failure, Job, JobError};
use sentinel_store::conformance::fixture;
use sentinel_store::{Mutation, Precondition, ServerId, SessionRow, Store, Transaction};

use super::poll::poll_now;
use super::state::{
    HeldLease, InjectedBug, ModelState, RunningHandler, Submission, Submitter, TICK, WORKERS,
    Worker,
};
use super::step::End;

impl ModelState {
    pub(crate) fn deliver(&mut self, slot: usize) {
        let worker = &mut self.workers[slot];
        for job in std::mem::take(&mut worker.incoming) {
            let Some(held) = HeldLease::of(&job) else { continue };
            let is_cancelled = job.status.cancel.is_some();
            worker.handlers.push(RunningHandler { held, is_cancelled, report: None });
            let history = self.observed.jobs.entry(job.id).or_default();
            history.started_after_cancel |= history.cancelled_runs.contains(&held.lease.run);
            history.open.push((slot, held.lease.epoch));
        }
    }

    pub(crate) fn end(&mut self, slot: usize, at: usize, end: End) {
        if !matches!(end, End::Success | End::Stop) {
            self.remaining.other_outcomes = self.remaining.other_outcomes.saturating_sub(1);
        }
        let handler = &mut self.workers[slot].handlers[at];
        let (HeldLease { id, lease }, started_at) = (handler.held, None);
        handler.report = Some(match end {
            End::Success => Command::Succeed { lease, started_at, result: "done".into() },
            End::Failure => {
                let error = JobError::new("failed", "FAILED", true);
                let failure = Failure { error, next_delay_ms: None, timed_out: false, entropy: 0 };
                Command::Fail { lease, started_at, failure }
            }
            End::Snooze => Command::Snooze { lease, started_at, delay_ms: TICK.cast_unsigned() },
            End::Release => Command::Release { lease },
            End::Stop => Command::Stop { lease, started_at, entropy: 0 },
        });
        self.history(id).open.retain(|open| *open != (slot, lease.epoch));
    }

    /// Submits a report, decided on the server's copy of the job or on the stored version.
    pub(crate) fn report(&mut self, slot: usize, at: usize) {
        let handler = self.workers[slot].handlers[at].clone();
        let Some(command) = handler.report else { return };
        let copies = self.server.as_ref().map(|server| &server.copies[slot]);
        let copy =
            copies.into_iter().flatten().find(|job| HeldLease::of(job) == Some(handler.held));
        let job = copy.cloned().or_else(|| self.read(handler.held.id));
        let is_accepted = job.is_some_and(|job| {
            self.decide_and_submit(Submitter::Report { worker: slot }, &job, command)
        });
        if !is_accepted {
            self.drop_handler(slot, handler.held);
        }
    }

    /// Notifies a worker that its lease has ended.
    pub(crate) fn drop_handler(&mut self, slot: usize, held: HeldLease) {
        let worker = &mut self.workers[slot];
        let mut stopped = Vec::new();
        worker.handlers.retain(|handler| {
            let stays = handler.held != held;
            if !stays && handler.report.is_none() {
                stopped.push((slot, held.lease.epoch));
            }
            stays
        });
        for handler in stopped {
            self.history(held.id).open.retain(|open| *open != handler);
        }
    }

    pub(crate) fn time_out_receipt(&mut self, slot: usize) {
        self.remaining.faults -= 1;
        let late = match self.bug {
            Some(InjectedBug::StartsAfterTimeout) => self.workers[slot].incoming.clone(),
            _ => std::mem::take(&mut self.workers[slot].incoming),
        };
        for job in late {
            let Some(lease) = job.status.lease else { continue };
            let submitter = Submitter::ReturnToQueue { worker: slot };
            self.decide_and_submit(submitter, &job, Command::NotReceived { lease: lease.id });
        }
    }

    pub(crate) fn put_row(&mut self, slot: usize, joins: bool) {
        let Some(id) = self.workers[slot].session else { return };
        let (owner, expires_at) = (ServerId(self.servers), self.now + TICK);
        let row = SessionRow { id, owner, expires_at };
        let session = id;
        let preconditions =
            if joins { Vec::new() } else { vec![Precondition::SessionOwner { session, owner }] };
        let transaction = Transaction {
            idempotency: None,
            preconditions,
            mutations: vec![Mutation::PutSession(row)],
        };
        let submitter = Submitter::Row { worker: slot, joins };
        self.submit(Submission { submitter, decided: None, transaction, after: None });
    }

    pub(crate) fn join(&mut self, slot: usize) {
        let worker = &mut self.workers[slot];
        if worker.session.is_none() {
            worker.processes += 1;
            let session = worker.processes * WORKERS as u128 + slot as u128;
            worker.session = Some(fixture::session(session));
        }
        self.put_row(slot, true);
    }

    /// Completes a join: the server owns the row and compares the worker's leases with the stored
    /// jobs.
    pub(crate) fn on_joined(&mut self, slot: usize) {
        let Some(session) = self.workers[slot].session else { return };
        let mut listed = poll_now(self.store.session_jobs(session));
        let handlers: Vec<HeldLease> =
            self.workers[slot].handlers.iter().map(|handler| handler.held).collect();
        let mut kept = Vec::new();
        for held in handlers {
            match listed.iter().position(|job| HeldLease::of(job) == Some(held)) {
                Some(at) => kept.push(listed.remove(at)),
                None => self.drop_handler(slot, held),
            }
        }
        for handler in &mut self.workers[slot].handlers {
            let is_cancelled =
                |job: &Arc<Job>| job.id == handler.held.id && job.status.cancel.is_some();
            handler.is_cancelled |= kept.iter().any(is_cancelled);
        }
        for job in listed {
            if let Some(lease) = job.status.lease {
                let submitter = Submitter::ReturnToQueue { worker: slot };
                self.decide_and_submit(submitter, &job, Command::NotReceived { lease: lease.id });
            }
        }
        self.workers[slot].is_connected = true;
        if self.bug == Some(InjectedBug::StartsTwice) {
            self.workers[slot].incoming.extend(kept.iter().cloned());
        }
        if let Some(server) = &mut self.server {
            server.copies[slot] = kept;
        }
    }

    /// Closes a stream. Jobs that were sent stay leased.
    pub(crate) fn close_stream(&mut self, slot: usize) {
        let worker = &mut self.workers[slot];
        worker.incoming.clear();
        if std::mem::take(&mut worker.is_connected) && self.server.is_some() {
            self.put_row(slot, false);
        }
        if let Some(server) = &mut self.server {
            server.copies[slot].clear();
            // A worker without a stream does not complete its join.
            let joins = Submitter::Row { worker: slot, joins: true };
            server.waiting.retain(|s| s.submitter != joins);
        }
    }

    pub(crate) fn crash(&mut self, slot: usize) {
        self.remaining.faults -= 1;
        self.close_stream(slot);
        let processes = self.workers[slot].processes;
        self.workers[slot] = Worker { processes, ..Worker::default() };
        for history in self.observed.jobs.values_mut() {
            history.open.retain(|(at, _)| *at != slot);
        }
    }
}
