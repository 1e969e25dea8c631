//! The enabled steps of a state.

use std::sync::Arc;

use sentinel_domain::{Job, JobId, State};

use super::state::{
    HeldLease, JOBS, ModelState, RequestState, Server, Submission, Submitter, WORKERS, Worker,
};

/// How a handler finishes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Success,
    Failure,
    Snooze,
    Release,
    Stop,
}

/// What happens to a commit request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CommitOutcome {
    Acknowledged,
    ResponseLost,
    RequestLost,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Enqueue(usize),
    Cancel(usize),
    Retry(usize),
    Commit(CommitOutcome),
    Deliver(usize),
    End(usize, usize, End),
    Report(usize, usize),
    /// The server takes assignments back that were not received in time.
    TimeOutReceipt(usize),
    Join(usize),
    BreakStream(usize),
    Crash(usize),
    Sweep,
    Tick,
    ServerCrashes,
    ServerStarts,
}

impl ModelState {
    pub(crate) fn is_waiting(&self, test: impl Fn(&Submission) -> bool) -> bool {
        let server = self.server.as_ref();
        let in_flight = server.and_then(|s| s.in_flight.as_ref()).into_iter().flat_map(|u| &u.1);
        server.into_iter().flat_map(|s| &s.waiting).chain(in_flight).any(test)
    }

    /// Returns all enabled steps.
    pub(crate) fn steps(&self) -> Vec<Step> {
        let mut steps = Vec::new();
        for index in 0..JOBS {
            self.steps_of_client(index, &mut steps);
        }
        for worker in 0..WORKERS {
            self.steps_of_worker(worker, &mut steps);
        }
        let may_fail = self.remaining.faults > 0;
        match &self.server {
            None => steps.push(Step::ServerStarts),
            Some(server) => {
                if self.can_commit(server) {
                    steps.push(Step::Commit(CommitOutcome::Acknowledged));
                    if may_fail {
                        steps.extend(
                            [CommitOutcome::ResponseLost, CommitOutcome::RequestLost]
                                .map(Step::Commit),
                        );
                    }
                }
                if self.can_sweep() {
                    steps.push(Step::Sweep);
                }
                if may_fail {
                    steps.push(Step::ServerCrashes);
                }
            }
        }
        // A commit takes less time than any timeout.
        let is_settled = self.server.as_ref().is_none_or(|server| server.in_flight.is_none());
        if self.remaining.ticks > 0 && is_settled {
            steps.push(Step::Tick);
        }
        steps
    }

    pub(crate) fn steps_of_client(&self, index: usize, steps: &mut Vec<Step>) {
        if self.server.is_none() {
            return;
        }
        let client = &self.clients[index];
        let of_job = |s: &Submission| s.after.as_ref().is_some_and(|j| j.id == self.ids[index]);
        let is_waiting = |submitter| self.is_waiting(|s| s.submitter == submitter && of_job(s));
        let is_first = client.enqueue == RequestState::NotSent;
        let is_repeat = client.enqueue == RequestState::Pending && !is_waiting(Submitter::Enqueue);
        // The second job may depend on the first one, so the first one is enqueued first.
        let has_parent = index == 0 || self.clients[0].enqueue == RequestState::Answered;
        if (is_first || is_repeat) && has_parent {
            steps.push(Step::Enqueue(index));
        }
        let Some(job) = self.job(self.ids[index]) else { return };
        let is_terminal = job.status.state.is_terminal();
        if client.cancel == RequestState::NotSent && self.remaining.cancels > 0 && !is_terminal {
            steps.push(Step::Cancel(index));
        }
        if client.retry == RequestState::NotSent && self.remaining.retries > 0 && is_terminal {
            steps.push(Step::Retry(index));
        }
    }

    pub(crate) fn steps_of_worker(&self, slot: usize, steps: &mut Vec<Step>) {
        let worker = &self.workers[slot];
        if worker.is_connected && !worker.incoming.is_empty() {
            steps.push(Step::Deliver(slot));
            if self.remaining.faults > 0 {
                steps.push(Step::TimeOutReceipt(slot));
            }
        }
        for (at, handler) in worker.handlers.iter().enumerate() {
            if handler.report.is_none() {
                steps.push(Step::End(slot, at, End::Success));
                if handler.is_cancelled {
                    steps.push(Step::End(slot, at, End::Stop));
                }
                if self.remaining.other_outcomes > 0 {
                    let others = [End::Failure, End::Snooze, End::Release];
                    steps.extend(others.map(|end| Step::End(slot, at, end)));
                }
            } else if worker.is_connected && !self.is_reporting(slot, handler.held) {
                steps.push(Step::Report(slot, at));
            }
        }
        if self.server.is_some() && !self.is_present(slot) {
            steps.push(Step::Join(slot));
        }
        if self.remaining.faults > 0 && worker.session.is_some() {
            steps.push(Step::Crash(slot));
            if worker.is_connected {
                steps.push(Step::BreakStream(slot));
            }
        }
    }

    /// Returns whether a worker has a stream or is joining.
    pub(crate) fn is_present(&self, worker: usize) -> bool {
        let joins = Submitter::Row { worker, joins: true };
        self.workers[worker].is_connected || self.is_waiting(|s| s.submitter == joins)
    }

    pub(crate) fn is_reporting(&self, worker: usize, held: HeldLease) -> bool {
        self.is_waiting(|s| {
            let of = s.decided.as_ref().and_then(|(job, _)| HeldLease::of(job));
            s.submitter == Submitter::Report { worker } && of == Some(held)
        })
    }

    pub(crate) fn can_commit(&self, server: &Server) -> bool {
        let is_ready = |id: &JobId| {
            let due = |job: &&Arc<Job>| match job.status.state {
                State::Ready => true,
                State::Scheduled => job.status.ready_at <= self.now,
                _ => false,
            };
            self.job(*id).filter(due).is_some()
        };
        server.in_flight.is_some()
            || !server.waiting.is_empty()
            || (self.ids.iter().any(is_ready) && (0..WORKERS).any(|w| self.has_room(server, w)))
    }

    /// Returns whether a worker can get a job. An expired session gets none.
    pub(crate) fn has_room(&self, server: &Server, worker: usize) -> bool {
        let Worker { session, is_connected, .. } = &self.workers[worker];
        let expires_at = session.and_then(|session| self.rows.get(&session));
        let is_live = *is_connected && expires_at.is_some_and(|at| *at > self.now);
        is_live && server.copies[worker].is_empty()
    }

    /// Returns the state after an enabled step.
    pub(crate) fn after(&self, step: Step) -> Self {
        let mut state = self.clone();
        state.take(step);
        state
    }

    pub(crate) fn take(&mut self, step: Step) {
        match step {
            Step::Enqueue(index) => self.enqueue(index),
            Step::Cancel(index) => self.cancel(index),
            Step::Retry(index) => self.retry(index),
            Step::Commit(outcome) => self.commit(outcome),
            Step::Deliver(slot) => self.deliver(slot),
            Step::End(slot, at, end) => self.end(slot, at, end),
            Step::Report(slot, at) => self.report(slot, at),
            Step::TimeOutReceipt(slot) => self.time_out_receipt(slot),
            Step::Join(slot) => self.join(slot),
            Step::BreakStream(slot) => {
                self.remaining.faults = self.remaining.faults.saturating_sub(1);
                self.close_stream(slot);
            }
            Step::Crash(slot) => self.crash(slot),
            Step::Sweep => {
                let found = self.due_work();
                found.into_iter().for_each(|submission| self.submit(submission));
            }
            Step::Tick => self.tick(),
            Step::ServerCrashes => self.crash_server(),
            Step::ServerStarts => self.start_server(),
        }
    }
}
