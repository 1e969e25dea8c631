//! What workers do, and what the server does about their streams.

use std::sync::Arc;

use sentinel_domain::{Command, Failure, Job, JobError};
use sentinel_store::conformance::fixture;
use sentinel_store::{Mutation, Precondition, ServerId, SessionRow, Store, Transaction};

use super::ask::now;
use super::step::End;
use super::world::{Hand, Held, Plant, Submission, TICK, WORKERS, Who, Worker, World};

impl World {
    pub(crate) fn deliver(&mut self, place: usize) {
        let worker = &mut self.workers[place];
        for job in std::mem::take(&mut worker.incoming) {
            let Some(held) = Held::of(&job) else { continue };
            let is_cancelled = job.status.cancel.is_some();
            worker.hands.push(Hand { held, is_cancelled, report: None });
            let life = self.notes.jobs.entry(job.id).or_default();
            life.began_late |= life.cancelled_runs.contains(&held.lease.run);
            life.open.push((place, held.lease.epoch));
        }
    }

    pub(crate) fn end(&mut self, place: usize, at: usize, end: End) {
        if !matches!(end, End::Success | End::Stop) {
            self.left.turns = self.left.turns.saturating_sub(1);
        }
        let hand = &mut self.workers[place].hands[at];
        let (Held { id, lease }, started_at) = (hand.held, None);
        hand.report = Some(match end {
            End::Success => Command::Succeed { lease, started_at, result: "done".into() },
            End::Failure => {
                let error = JobError { message: "no".into(), code: "NO".into(), retryable: true };
                let failure = Failure { error, next_delay_ms: None, timed_out: false, entropy: 0 };
                Command::Fail { lease, started_at, failure }
            }
            End::Snooze => Command::Snooze { lease, started_at, delay_ms: TICK.cast_unsigned() },
            End::Release => Command::Release { lease },
            End::Stop => Command::Stop { lease, started_at, entropy: 0 },
        });
        self.life(id).open.retain(|open| *open != (place, lease.epoch));
    }

    /// Decided on the copy that the server has, or on what the store has.
    pub(crate) fn report(&mut self, place: usize, at: usize) {
        let hand = self.workers[place].hands[at].clone();
        let Some(command) = hand.report else { return };
        let copies = self.server.as_ref().map(|server| &server.copies[place]);
        let copy = copies.into_iter().flatten().find(|job| Held::of(job) == Some(hand.held));
        let job = copy.cloned().or_else(|| self.read(hand.held.id));
        let is_taken = job
            .is_some_and(|job| self.submit_decided(Who::Report { worker: place }, &job, command));
        if !is_taken {
            self.let_go(place, hand.held);
        }
    }

    /// The worker is told that a lease is over.
    pub(crate) fn let_go(&mut self, place: usize, held: Held) {
        let worker = &mut self.workers[place];
        let mut gone = Vec::new();
        worker.hands.retain(|hand| {
            let stays = hand.held != held;
            if !stays && hand.report.is_none() {
                gone.push((place, held.lease.epoch));
            }
            stays
        });
        for handler in gone {
            self.life(held.id).open.retain(|open| *open != handler);
        }
    }

    pub(crate) fn take_back(&mut self, place: usize) {
        self.left.faults -= 1;
        let late = match self.plant {
            Some(Plant::BeginsLate) => self.workers[place].incoming.clone(),
            _ => std::mem::take(&mut self.workers[place].incoming),
        };
        for job in late {
            let Some(lease) = job.status.lease else { continue };
            let who = Who::HandBack { worker: place };
            self.submit_decided(who, &job, Command::NotReceived { lease: lease.id });
        }
    }

    pub(crate) fn put_row(&mut self, place: usize, joins: bool) {
        let Some(id) = self.workers[place].session else { return };
        let (owner, expires_at) = (ServerId(self.servers), self.now + TICK);
        let row = SessionRow { id, owner, expires_at };
        let session = id;
        let preconditions =
            if joins { Vec::new() } else { vec![Precondition::SessionOwner { session, owner }] };
        let group = Transaction { idempotency: None, preconditions, mutations: vec![Mutation::PutSession(row)] };
        let who = Who::Row { worker: place, joins };
        self.submit(Submission { who, decided: None, group, after: None });
    }

    pub(crate) fn join(&mut self, place: usize) {
        let worker = &mut self.workers[place];
        if worker.session.is_none() {
            worker.lives += 1;
            let session = worker.lives * WORKERS as u128 + place as u128;
            worker.session = Some(fixture::session(session));
        }
        self.put_row(place, true);
    }

    /// The row is the server's: it judges what the worker holds by what the store lists.
    pub(crate) fn joined(&mut self, place: usize) {
        let Some(session) = self.workers[place].session else { return };
        let mut listed = now(self.store.session_jobs(session));
        let hands: Vec<Held> = self.workers[place].hands.iter().map(|hand| hand.held).collect();
        let mut kept = Vec::new();
        for held in hands {
            match listed.iter().position(|job| Held::of(job) == Some(held)) {
                Some(at) => kept.push(listed.remove(at)),
                None => self.let_go(place, held),
            }
        }
        for hand in &mut self.workers[place].hands {
            let asks = |job: &Arc<Job>| job.id == hand.held.id && job.status.cancel.is_some();
            hand.is_cancelled |= kept.iter().any(asks);
        }
        for job in listed {
            if let Some(lease) = job.status.lease {
                let who = Who::HandBack { worker: place };
                self.submit_decided(who, &job, Command::NotReceived { lease: lease.id });
            }
        }
        self.workers[place].is_connected = true;
        if self.plant == Some(Plant::BeginsTwice) {
            self.workers[place].incoming.extend(kept.iter().cloned());
        }
        if let Some(server) = &mut self.server {
            server.copies[place] = kept;
        }
    }

    /// The server sees the end of a stream. What was sent stays leased.
    pub(crate) fn stream_ends(&mut self, place: usize) {
        let worker = &mut self.workers[place];
        worker.incoming.clear();
        if std::mem::take(&mut worker.is_connected) && self.server.is_some() {
            self.put_row(place, false);
        }
        if let Some(server) = &mut self.server {
            server.copies[place].clear();
            // Who has gone joins no more.
            let joins = Who::Row { worker: place, joins: true };
            server.waiting.retain(|s| s.who != joins);
        }
    }

    pub(crate) fn crash(&mut self, place: usize) {
        self.left.faults -= 1;
        self.stream_ends(place);
        let lives = self.workers[place].lives;
        self.workers[place] = Worker { lives, ..Worker::default() };
        for life in self.notes.jobs.values_mut() {
            life.open.retain(|(at, _)| *at != place);
        }
    }
}
