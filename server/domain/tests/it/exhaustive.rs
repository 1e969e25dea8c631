//! Every life that a job can have with two workers and a coarse clock, until nothing new can
//! happen. Random walks throw finer times and sizes; this leaves no order of commands out.

use std::collections::HashSet;
use std::hash::Hash;

use sentinel_domain::{Command, JobId, LeaseId, Millis, NewJob, OnLost, SessionId, State};

use crate::fixture::{ALICE, BOB, PARENTS, T0, cancel, enqueue, failure, new_job, succeed};
use crate::walk::Life;

/// Nothing happens in between, a pause or a grace ends, a run_timeout with its slack ends.
const STEPS_MS: [Millis; 3] = [0, 1_000, 6_000];

/// Of one lease: how its worker may report, in time or late.
fn reports(lease: LeaseId) -> Vec<Command> {
    let started_at = None;
    let fail = |retryable| Command::Fail { lease, started_at, failure: failure(retryable, None) };
    vec![
        Command::NotReceived { lease },
        succeed(lease),
        fail(true),
        fail(false),
        Command::Snooze { lease, started_at, delay_ms: 1_000 },
        Command::Release { lease },
        Command::Stop { lease, started_at, entropy: u32::MAX },
        Command::Checkpoint { lease, data: "half".into() },
    ]
}

fn all(life: &Life) -> Vec<Command> {
    let worker = |session: SessionId| Command::Start { session, worker: "w".into() };
    let unblock = |parent: JobId, outcome| Command::Unblock { parent, outcome };
    let mut commands = vec![
        Command::Promote,
        Command::Expire,
        worker(ALICE),
        worker(BOB),
        cancel(),
        Command::Revoke,
        Command::TimeOut { entropy: u32::MAX },
        Command::MarkLost { session: ALICE },
        Command::MarkLost { session: BOB },
        unblock(PARENTS[0], State::Succeeded),
        unblock(PARENTS[0], State::Failed),
        Command::Replace,
        Command::Retry,
        Command::RunNow,
        Command::Delete,
    ];
    // The newest lease is live or just over; the one before it is stale.
    life.leases.iter().rev().take(2).for_each(|lease| commands.extend(reports(*lease)));
    if let Some(lease) = life.leases.last() {
        let session = if lease.session == ALICE { BOB } else { ALICE };
        commands.extend(reports(LeaseId { session, ..*lease }));
    }
    commands
}

/// What tells two lives apart for what can happen next. Times count from now and only as
/// far as a rule can look, epochs from the newest; without that no end would be reached.
fn shape(life: &Life, now: Millis) -> impl Eq + Hash + use<> {
    let (spec, s) = (&life.job.spec, &life.job.status);
    let ahead = |at: Millis| (at - now).max(0);
    let ago = |at: Millis| (now - at).min(STEPS_MS[2]);
    let recorded = s.recorded_lease.map(|(epoch, session)| ((s.epoch - epoch).min(2), session));
    let stale = life.leases.iter().rev().nth(1).map(|lease| lease.session);
    (
        (s.state, s.reason, s.run.min(2), s.attempt, s.crashes, s.waiting_for.clone()),
        (ahead(s.ready_at), spec.start_deadline.map(ahead), s.started_at.is_some()),
        (s.lease.map(|lease| (ago(lease.granted_at), lease.id.session)), recorded, stale),
        (s.cancel.as_ref().map(|cancel| ago(cancel.at)), s.error.is_some()),
        (s.checkpoint.is_some(), s.result.is_some(), s.epoch.min(2)),
    )
}

/// Goes on until nothing new can happen; how many different lives there are.
fn explore(new: NewJob) -> usize {
    let first = Life::new(enqueue(new));
    let mut seen = HashSet::from([shape(&first, T0)]);
    let mut edge = vec![(first, T0)];
    for depth in 0.. {
        assert!(depth < 100, "lives never repeat");
        let mut next = Vec::new();
        for (life, at) in &edge {
            for now in STEPS_MS.map(|step_ms| at + step_ms) {
                for command in all(life) {
                    let mut life = life.clone();
                    if life.ask(&command, now) && seen.insert(shape(&life, now)) {
                        next.push((life, now));
                    }
                }
            }
        }
        if next.is_empty() {
            println!("{} lives, {depth} deep", seen.len());
            break;
        }
        edge = next;
    }
    seen.len()
}

fn job(edit: impl FnOnce(&mut NewJob)) -> NewJob {
    let mut new = NewJob {
        max_attempts: 4,
        retry_base_ms: Some(1_000),
        retry_cap_ms: Some(1_000),
        run_timeout_ms: Some(1_000),
        cancel_grace_ms: Some(1_000),
        ..new_job()
    };
    edit(&mut new);
    new
}

#[test]
fn no_life_breaks_a_rule() {
    let seen = explore(job(|_| ()));
    assert!(seen > 1_000, "only {seen} lives");
}

#[test]
fn no_life_of_a_late_job_breaks_a_rule() {
    let late = |new: &mut NewJob| {
        new.delay_ms = Some(1_000);
        new.start_deadline = Some(T0 + 2_000);
        new.on_lost = Some(OnLost::Fail);
    };
    let seen = explore(job(late));
    assert!(seen > 1_000, "only {seen} lives");
}

#[test]
fn no_life_of_a_blocked_job_breaks_a_rule() {
    let seen = explore(job(|new| new.depends_on = vec![PARENTS[0].to_string()]));
    assert!(seen > 1_000, "only {seen} lives");
}
