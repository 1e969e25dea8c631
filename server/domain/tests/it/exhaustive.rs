//! Every sequence of commands up to a depth, with two workers and a coarse clock. Random
//! walks find what is far; this leaves nothing out of what is near.

use std::collections::HashSet;

use sentinel_domain::{Command, JobId, Lease, Millis, NewJob, OnLost, SessionId, State};

use crate::fixture::{ALICE, BOB, PARENTS, T0, cancel, enqueue, failure, new_job, succeed};
use crate::walk::Life;

/// Nothing happens in between, a pause or a grace ends, a run_timeout with its slack ends.
const STEPS_MS: [Millis; 3] = [0, 1_000, 6_000];

/// Of one lease: how its worker may report, in time or late.
fn reports(lease: Lease) -> Vec<Command> {
    let started_at = None;
    let fail = |retryable| Command::Fail { lease, started_at, failure: failure(retryable, None) };
    vec![
        Command::NotReceived { lease },
        succeed(lease),
        fail(true),
        fail(false),
        Command::Snooze { lease, started_at, delay_ms: 1_000 },
        Command::Release { lease },
        Command::Stop { lease, started_at, dice: u32::MAX },
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
        Command::TimeOut { dice: u32::MAX },
        Command::Lose { session: ALICE },
        Command::Lose { session: BOB },
        unblock(PARENTS[0], State::Succeeded),
        unblock(PARENTS[0], State::Failed),
        Command::Replace,
        Command::Retry,
    ];
    // The newest lease is live or just over; the one before it is stale.
    life.leases.iter().rev().take(2).for_each(|lease| commands.extend(reports(*lease)));
    commands
}

/// What tells two lives apart for what can happen next; the version only counts.
fn shape(life: &Life, now: Millis) -> String {
    let mut status = life.job.status.clone();
    (status.version, status.updated_at) = (0, 0);
    let stale = life.leases.iter().rev().nth(1).map(|lease| lease.session);
    format!("{now} {stale:?} {status:?}")
}

/// How many different lives there are within `depth` commands that were accepted.
fn explore(new: NewJob, depth: usize) -> usize {
    let first = Life::new(enqueue(new));
    let mut seen = HashSet::from([shape(&first, T0)]);
    let mut edge = vec![(first, T0)];
    for _ in 0..depth {
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
        edge = next;
    }
    seen.len()
}

fn job(edit: impl FnOnce(&mut NewJob)) -> NewJob {
    let mut new = NewJob {
        max_attempts: 2,
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
fn no_short_life_breaks_a_rule() {
    let seen = explore(job(|_| ()), 5);
    assert!(seen > 1_000, "only {seen} lives");
}

#[test]
fn no_short_life_of_a_late_job_breaks_a_rule() {
    let late = |new: &mut NewJob| {
        new.delay_ms = Some(1_000);
        new.start_deadline = Some(T0 + 2_000);
        new.on_lost = Some(OnLost::Fail);
    };
    let seen = explore(job(late), 5);
    assert!(seen > 1_000, "only {seen} lives");
}

#[test]
fn no_short_life_of_a_blocked_job_breaks_a_rule() {
    let seen = explore(job(|new| new.depends_on = vec![PARENTS[0].to_string()]), 5);
    assert!(seen > 1_000, "only {seen} lives");
}
