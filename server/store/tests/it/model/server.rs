//! What the server does by itself: hands in what was decided, sweeps, dies and starts.

use std::sync::Arc;

use sentinel_domain::{Command, Job, JobId, decide, deadline_command};
use sentinel_store::conformance::fixture;
use sentinel_store::{Mutation, Precondition, ServerId, Store, Transaction};

use super::ask::now;
use super::step::Fate;
use super::world::{Asked, Plant, Server, Submission, TICK, WORKERS, Who, World};

impl World {
    pub(crate) fn read(&self, id: JobId) -> Option<Arc<Job>> {
        now(self.store.read(vec![id])).remove(0)
    }

    pub(crate) fn submit(&mut self, submission: Submission) {
        if let Some(server) = &mut self.server {
            server.waiting.push(submission);
        }
    }

    /// Decides and hands in; false when it is refused.
    pub(crate) fn submit_decided(&mut self, who: Who, job: &Arc<Job>, command: Command) -> bool {
        let Ok(decision) = decide(job, &command, self.now) else { return false };
        let mut group = fixture::update(job, decision.clone());
        if let (Who::HandBack { .. }, Some(lease)) = (who, job.status.lease) {
            let (session, owner) = (lease.id.session, ServerId(self.servers));
            group.preconditions.push(Precondition::SessionOwner { session, owner });
        }
        let after = Some(Arc::new(decision.job));
        self.submit(Submission { who, decided: Some((job.clone(), command)), group, after });
        true
    }

    pub(crate) fn due_work(&self) -> Vec<Submission> {
        let mut world = self.clone();
        world.sweep();
        let found = world.server.map(|server| server.waiting).unwrap_or_default();
        let known = self.server.as_ref().map_or(0, |server| server.waiting.len());
        let is_new = |s: &Submission| !self.is_waiting(|other| is_same_sweep(other, s));
        found.into_iter().skip(known).filter(is_new).collect()
    }

    pub(crate) fn has_something_to_sweep(&self) -> bool {
        self.plant != Some(Plant::NoSweep) && !self.due_work().is_empty()
    }

    /// What a sweeper finds and decides, all at once.
    pub(crate) fn sweep(&mut self) {
        let found = now(self.store.due_work(self.now, 100));
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
            self.submit_decided(Who::Sweep, &job, command);
        }
        for row in found.expired_sessions {
            // Who comes back is present before it touches its row.
            if self.place(row.id).is_none_or(|place| !self.is_present(place)) {
                let preconditions = vec![Precondition::SessionOwner { session: row.id, owner: row.owner }];
                let group = Transaction {
                    idempotency: None,
                    preconditions,
                    mutations: vec![Mutation::DropSession(row.id)],
                };
                let who = Who::Sweep;
                self.submit(Submission { who, decided: None, group, after: None });
            }
        }
    }

    pub(crate) fn server_dies(&mut self) {
        self.left.faults -= 1;
        self.server = None;
        for worker in &mut self.workers {
            worker.incoming.clear();
            worker.is_connected = false;
        }
        // Who was not answered does not know. A cancel or a retry is not insisted on here.
        for client in &mut self.clients {
            for asked in [&mut client.cancel, &mut client.retry] {
                if *asked == Asked::Open {
                    *asked = Asked::Answered;
                }
            }
        }
    }

    /// No session ends for the time that there was no server to hear it.
    pub(crate) fn server_starts(&mut self) {
        self.servers += 1;
        self.server = Some(Server::default());
        let until = self.now + TICK;
        now(self.store.extend_sessions(until));
        self.rows.values_mut().for_each(|at| *at = (*at).max(until));
    }

    /// Time passes. Sessions with a stream are renewed meanwhile.
    pub(crate) fn tick(&mut self) {
        self.left.ticks = self.left.ticks.saturating_sub(1);
        self.now += TICK;
        let Some(server) = &mut self.server else { return };
        let waiting = std::mem::take(&mut server.waiting);
        for place in 0..WORKERS {
            if self.workers[place].is_connected {
                self.put_row(place, false);
            }
        }
        self.commit_now(Fate::Told, false);
        if let Some(server) = &mut self.server {
            server.waiting = waiting;
        }
    }
}

fn is_same_sweep(one: &Submission, other: &Submission) -> bool {
    let job = |s: &Submission| s.after.as_ref().map(|job| job.id);
    let row = |s: &Submission| match s.group.mutations.first() {
        Some(Mutation::DropSession(id)) => Some(*id),
        _ => None,
    };
    one.who == Who::Sweep && job(one) == job(other) && row(one) == row(other)
}
