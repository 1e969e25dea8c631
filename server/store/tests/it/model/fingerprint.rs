//! The fingerprint of a state. Two states are equal if no future step distinguishes them: workers
//! are interchangeable, only future times matter, and versions matter only for stale copies.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use sentinel_domain::{Command, Job, Millis, SessionId, next_deadline};

use super::state::{JOBS, ModelState, Submission, Submitter, WORKERS};

/// Returns the fingerprint. It is the same for all orders of the workers, and of independent jobs.
pub(crate) fn fingerprint(state: &ModelState) -> u64 {
    let job_orders: &[[usize; JOBS]] = if state.is_chain { &[[0, 1]] } else { &[[0, 1], [1, 0]] };
    let fingerprints = job_orders.iter().flat_map(|jobs| {
        let orders: [[usize; WORKERS]; 2] = [[0, 1], [1, 0]];
        orders.map(|workers| View { state, jobs: *jobs, workers }.fingerprint())
    });
    fingerprints.min().expect("there is an order")
}

struct View<'a> {
    state: &'a ModelState,
    jobs: [usize; JOBS],
    workers: [usize; WORKERS],
}

impl View<'_> {
    fn fingerprint(&self) -> u64 {
        let mut hash = DefaultHasher::new();
        let state = self.state;
        state.remaining.hash(&mut hash);
        for index in self.jobs {
            self.job(index, &mut hash);
        }
        for slot in self.workers {
            self.worker(slot, &mut hash);
        }
        let Some(server) = &state.server else { return hash.finish() };
        for submission in &server.waiting {
            self.submission(submission, &mut hash);
        }
        server.in_flight.is_some().hash(&mut hash);
        if let Some((request, submissions)) = &server.in_flight {
            // The store knows the number if and only if the request arrived.
            state.is_applied.hash(&mut hash);
            request.claims.iter().for_each(|claim| self.session(claim.session).hash(&mut hash));
            submissions.iter().for_each(|s| self.submission(s, &mut hash));
        }
        for slot in self.workers {
            server.copies[slot].iter().for_each(|job| self.copy(job, &mut hash));
            hash.write_u8(0);
        }
        hash.finish()
    }

    fn ahead(&self, at: Millis) -> Millis {
        (at - self.state.now).max(0)
    }

    fn name(&self, index: usize) -> Option<usize> {
        self.jobs.iter().position(|at| *at == index)
    }

    /// The slot of the worker, and the remaining time of the row.
    fn session(&self, session: SessionId) -> (Option<usize>, Option<Millis>) {
        let slot = self.state.slot(session);
        let slot = slot.and_then(|slot| self.workers.iter().position(|at| *at == slot));
        (slot, self.state.rows.get(&session).map(|at| self.ahead(*at)))
    }

    fn job(&self, index: usize, hash: &mut DefaultHasher) {
        let id = self.state.ids[index];
        self.state.clients[index].hash(hash);
        let Some(history) = self.state.observed.jobs.get(&id) else { return hash.write_u8(0) };
        if let Some(job) = &history.last {
            self.record(job, hash);
        }
        history.terminal_runs.hash(hash);
        history.cancelled_runs.hash(hash);
        for slot in self.workers {
            let open = history.open.iter().filter(|(at, _)| *at == slot);
            open.for_each(|(_, epoch)| (*epoch, history.lost.contains(epoch)).hash(hash));
            hash.write_u8(0);
        }
    }

    fn record(&self, job: &Job, hash: &mut DefaultHasher) {
        let s = &job.status;
        (s.state, s.reason, s.run, s.attempt, s.crashes, s.epoch).hash(hash);
        s.lease.map(|lease| self.session(lease.id.session)).hash(hash);
        s.recorded_lease.map(|(epoch, _)| epoch).hash(hash);
        (s.cancel.is_some(), s.started_at.is_some(), s.waiting_for.len()).hash(hash);
        s.state.is_waiting().then(|| self.ahead(s.ready_at)).hash(hash);
        next_deadline(job).map(|at| self.ahead(at)).hash(hash);
    }

    /// Hashes a copy of a job, and whether it is the current version.
    fn copy(&self, job: &Arc<Job>, hash: &mut DefaultHasher) {
        let current = self.state.job(job.id);
        self.name(self.state.index(job.id)).hash(hash);
        current.is_some_and(|now| now.status.version == job.status.version).hash(hash);
        self.record(job, hash);
    }

    fn submission(&self, submission: &Submission, hash: &mut DefaultHasher) {
        let at = |slot: usize| self.workers.iter().position(|at| *at == slot);
        match submission.submitter {
            Submitter::Report { worker } => (1, at(worker)).hash(hash),
            Submitter::ReturnToQueue { worker } => (2, at(worker)).hash(hash),
            Submitter::Row { worker, joins } => (3, at(worker), joins).hash(hash),
            other => other.hash(hash),
        }
        if let Some((before, command)) = &submission.decided {
            self.copy(before, hash);
            kind(command).hash(hash);
        }
        match &submission.after {
            Some(job) => (self.name(self.state.index(job.id)), job.status.state).hash(hash),
            None => submission.transaction.mutations.len().hash(hash),
        }
    }

    fn worker(&self, slot: usize, hash: &mut DefaultHasher) {
        let worker = &self.state.workers[slot];
        (worker.is_connected, worker.session.map(|s| self.session(s))).hash(hash);
        worker.incoming.iter().for_each(|job| self.copy(job, hash));
        for handler in &worker.handlers {
            self.name(self.state.index(handler.held.id)).hash(hash);
            let lease = handler.held.lease;
            (lease.run, lease.epoch, handler.is_cancelled).hash(hash);
            handler.report.as_ref().map(kind).hash(hash);
        }
    }
}

fn kind(command: &Command) -> std::mem::Discriminant<Command> {
    std::mem::discriminant(command)
}
