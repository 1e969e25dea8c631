//! Every step that can be taken from a state.

use std::sync::Arc;

use sentinel_domain::{Job, JobId, State};

use super::world::{Asked, Held, JOBS, Server, Submission, WORKERS, Who, Worker, World};

/// How a handler ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Success,
    Failure,
    Snooze,
    Release,
    Stop,
}

/// What becomes of a call to the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Told,
    ReplyLost,
    CallLost,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Enqueue(usize),
    Cancel(usize),
    Retry(usize),
    Commit(Fate),
    Deliver(usize),
    End(usize, usize, End),
    Report(usize, usize),
    /// Assignments were not received in time.
    TakeBack(usize),
    Join(usize),
    Break(usize),
    Crash(usize),
    Sweep,
    Tick,
    ServerDies,
    ServerStarts,
}

impl World {
    pub(crate) fn is_waiting(&self, test: impl Fn(&Submission) -> bool) -> bool {
        let server = self.server.as_ref();
        let in_flight = server.and_then(|s| s.unsettled.as_ref()).into_iter().flat_map(|u| &u.1);
        server.into_iter().flat_map(|s| &s.waiting).chain(in_flight).any(test)
    }

    /// All steps that can be taken now.
    pub(crate) fn steps(&self) -> Vec<Step> {
        let mut steps = Vec::new();
        for which in 0..JOBS {
            self.steps_of_client(which, &mut steps);
        }
        for worker in 0..WORKERS {
            self.steps_of_worker(worker, &mut steps);
        }
        let may_fail = self.left.faults > 0;
        match &self.server {
            None => steps.push(Step::ServerStarts),
            Some(server) => {
                if self.has_something_to_commit(server) {
                    steps.push(Step::Commit(Fate::Told));
                    if may_fail {
                        steps.extend([Fate::ReplyLost, Fate::CallLost].map(Step::Commit));
                    }
                }
                if self.has_something_to_sweep() {
                    steps.push(Step::Sweep);
                }
                if may_fail {
                    steps.push(Step::ServerDies);
                }
            }
        }
        // A call takes less time than anything that is waited for.
        let is_settled = self.server.as_ref().is_none_or(|server| server.unsettled.is_none());
        if self.left.ticks > 0 && is_settled {
            steps.push(Step::Tick);
        }
        steps
    }

    pub(crate) fn steps_of_client(&self, which: usize, steps: &mut Vec<Step>) {
        if self.server.is_none() {
            return;
        }
        let client = &self.clients[which];
        let of_job = |s: &Submission| s.after.as_ref().is_some_and(|j| j.id == self.ids[which]);
        let is_waiting = |who| self.is_waiting(|s| s.who == who && of_job(s));
        let asks_first = client.enqueue == Asked::Never;
        let asks_again = client.enqueue == Asked::Open && !is_waiting(Who::Enqueue);
        // The first job is asked for first: what waits for it must find it.
        let has_parent = which == 0 || self.clients[0].enqueue == Asked::Answered;
        if (asks_first || asks_again) && has_parent {
            steps.push(Step::Enqueue(which));
        }
        let Some(job) = self.job(self.ids[which]) else { return };
        let is_terminal = job.status.state.is_terminal();
        if client.cancel == Asked::Never && self.left.cancels > 0 && !is_terminal {
            steps.push(Step::Cancel(which));
        }
        if client.retry == Asked::Never && self.left.retries > 0 && is_terminal {
            steps.push(Step::Retry(which));
        }
    }

    pub(crate) fn steps_of_worker(&self, place: usize, steps: &mut Vec<Step>) {
        let worker = &self.workers[place];
        if worker.is_connected && !worker.incoming.is_empty() {
            steps.push(Step::Deliver(place));
            if self.left.faults > 0 {
                steps.push(Step::TakeBack(place));
            }
        }
        for (at, hand) in worker.hands.iter().enumerate() {
            if hand.report.is_none() {
                steps.push(Step::End(place, at, End::Success));
                if hand.is_cancelled {
                    steps.push(Step::End(place, at, End::Stop));
                }
                if self.left.turns > 0 {
                    let others = [End::Failure, End::Snooze, End::Release];
                    steps.extend(others.map(|end| Step::End(place, at, end)));
                }
            } else if worker.is_connected && !self.is_reporting(place, hand.held) {
                steps.push(Step::Report(place, at));
            }
        }
        if self.server.is_some() && !self.is_present(place) {
            steps.push(Step::Join(place));
        }
        if self.left.faults > 0 && worker.session.is_some() {
            steps.push(Step::Crash(place));
            if worker.is_connected {
                steps.push(Step::Break(place));
            }
        }
    }

    /// It has a stream, or one begins.
    pub(crate) fn is_present(&self, worker: usize) -> bool {
        let joins = Who::Row { worker, joins: true };
        self.workers[worker].is_connected || self.is_waiting(|s| s.who == joins)
    }

    pub(crate) fn is_reporting(&self, worker: usize, held: Held) -> bool {
        self.is_waiting(|s| {
            let of = s.decided.as_ref().and_then(|(job, _)| Held::of(job));
            s.who == Who::Report { worker } && of == Some(held)
        })
    }

    pub(crate) fn has_something_to_commit(&self, server: &Server) -> bool {
        let is_ready = |id: &JobId| {
            let due = |job: &&Arc<Job>| match job.status.state {
                State::Ready => true,
                State::Scheduled => job.status.ready_at <= self.now,
                _ => false,
            };
            self.job(*id).filter(due).is_some()
        };
        server.unsettled.is_some()
            || !server.waiting.is_empty()
            || (self.ids.iter().any(is_ready) && (0..WORKERS).any(|w| self.has_room(server, w)))
    }

    /// A session whose row has expired is given nothing, as long as it is not renewed.
    pub(crate) fn has_room(&self, server: &Server, worker: usize) -> bool {
        let Worker { session, is_connected, .. } = &self.workers[worker];
        let expires_at = session.and_then(|session| self.rows.get(&session));
        let is_live = *is_connected && expires_at.is_some_and(|at| *at > self.now);
        is_live && server.copies[worker].is_empty()
    }

    /// The world after a step that can be taken.
    pub(crate) fn after(&self, step: Step) -> Self {
        let mut world = self.clone();
        world.take(step);
        world
    }

    pub(crate) fn take(&mut self, step: Step) {
        match step {
            Step::Enqueue(which) => self.enqueue(which),
            Step::Cancel(which) => self.cancel(which),
            Step::Retry(which) => self.retry(which),
            Step::Commit(fate) => self.commit(fate),
            Step::Deliver(place) => self.deliver(place),
            Step::End(place, at, end) => self.end(place, at, end),
            Step::Report(place, at) => self.report(place, at),
            Step::TakeBack(place) => self.take_back(place),
            Step::Join(place) => self.join(place),
            Step::Break(place) => {
                self.left.faults = self.left.faults.saturating_sub(1);
                self.stream_ends(place);
            }
            Step::Crash(place) => self.crash(place),
            Step::Sweep => {
                let found = self.due_work();
                found.into_iter().for_each(|submission| self.submit(submission));
            }
            Step::Tick => self.tick(),
            Step::ServerDies => self.server_dies(),
            Step::ServerStarts => self.server_starts(),
        }
    }
}
