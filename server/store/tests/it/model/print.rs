//! When two states are one: nothing that can still happen tells them apart. Workers have no
//! names, times matter as far as they lie ahead, versions as far as somebody holds an old one.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use sentinel_domain::{Command, Job, Millis, SessionId, next_deadline};

use super::world::{JOBS, Submission, WORKERS, Who, World};

/// The same for both ways to name the workers, and the jobs where neither waits for the other.
pub(crate) fn print(world: &World) -> u64 {
    let job_orders: &[[usize; JOBS]] = if world.is_chain { &[[0, 1]] } else { &[[0, 1], [1, 0]] };
    let prints = job_orders.iter().flat_map(|jobs| {
        let orders: [[usize; WORKERS]; 2] = [[0, 1], [1, 0]];
        orders.map(|workers| View { world, jobs: *jobs, workers }.print())
    });
    prints.min().expect("there is an order")
}

struct View<'a> {
    world: &'a World,
    jobs: [usize; JOBS],
    workers: [usize; WORKERS],
}

impl View<'_> {
    fn print(&self) -> u64 {
        let mut hash = DefaultHasher::new();
        let world = self.world;
        world.left.hash(&mut hash);
        for which in self.jobs {
            self.job(which, &mut hash);
        }
        for place in self.workers {
            self.worker(place, &mut hash);
        }
        let Some(server) = &world.server else { return hash.finish() };
        for submission in &server.waiting {
            self.submission(submission, &mut hash);
        }
        server.unsettled.is_some().hash(&mut hash);
        if let Some((call, submissions)) = &server.unsettled {
            // The store knows the number iff the call got there.
            world.is_applied.hash(&mut hash);
            call.claims.iter().for_each(|claim| self.session(claim.session).hash(&mut hash));
            submissions.iter().for_each(|s| self.submission(s, &mut hash));
        }
        for place in self.workers {
            server.copies[place].iter().for_each(|job| self.copy(job, &mut hash));
            hash.write_u8(0);
        }
        hash.finish()
    }

    fn ahead(&self, at: Millis) -> Millis {
        (at - self.world.now).max(0)
    }

    fn name(&self, which: usize) -> Option<usize> {
        self.jobs.iter().position(|at| *at == which)
    }

    /// The place of its process and how long its row lives.
    fn session(&self, session: SessionId) -> (Option<usize>, Option<Millis>) {
        let place = self.world.place(session);
        let place = place.and_then(|place| self.workers.iter().position(|at| *at == place));
        (place, self.world.rows.get(&session).map(|at| self.ahead(*at)))
    }

    fn job(&self, which: usize, hash: &mut DefaultHasher) {
        let id = self.world.ids[which];
        self.world.clients[which].hash(hash);
        let Some(life) = self.world.notes.jobs.get(&id) else { return hash.write_u8(0) };
        if let Some(job) = &life.last {
            self.record(job, hash);
        }
        life.ended_runs.hash(hash);
        life.cancelled_runs.hash(hash);
        for place in self.workers {
            let open = life.open.iter().filter(|(at, _)| *at == place);
            open.for_each(|(_, epoch)| (*epoch, life.lost.contains(epoch)).hash(hash));
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

    /// A job as somebody holds it, and whether it is what the store has.
    fn copy(&self, job: &Arc<Job>, hash: &mut DefaultHasher) {
        let current = self.world.job(job.id);
        self.name(self.world.which(job.id)).hash(hash);
        current.is_some_and(|now| now.status.version == job.status.version).hash(hash);
        self.record(job, hash);
    }

    fn submission(&self, submission: &Submission, hash: &mut DefaultHasher) {
        let at = |place: usize| self.workers.iter().position(|at| *at == place);
        match submission.who {
            Who::Report { worker } => (1, at(worker)).hash(hash),
            Who::HandBack { worker } => (2, at(worker)).hash(hash),
            Who::Row { worker, joins } => (3, at(worker), joins).hash(hash),
            other => other.hash(hash),
        }
        if let Some((before, command)) = &submission.decided {
            self.copy(before, hash);
            kind(command).hash(hash);
        }
        match &submission.after {
            Some(job) => (self.name(self.world.which(job.id)), job.status.state).hash(hash),
            None => submission.group.mutations.len().hash(hash),
        }
    }

    fn worker(&self, place: usize, hash: &mut DefaultHasher) {
        let worker = &self.world.workers[place];
        (worker.is_connected, worker.session.map(|s| self.session(s))).hash(hash);
        worker.incoming.iter().for_each(|job| self.copy(job, hash));
        for hand in &worker.hands {
            self.name(self.world.which(hand.held.id)).hash(hash);
            let lease = hand.held.lease;
            (lease.run, lease.epoch, hand.is_cancelled).hash(hash);
            hand.report.as_ref().map(kind).hash(hash);
        }
    }
}

fn kind(command: &Command) -> std::mem::Discriminant<Command> {
    std::mem::discriminant(command)
}
