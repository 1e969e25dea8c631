//! An exhaustive exploration of all states that a job can reach with two workers and a coarse
//! clock. It covers every order of commands; the property tests cover finer times and sizes.

use std::collections::HashSet;
use std::hash::Hash;

use sentinel_domain::{Command, JobId, LeaseId, Millis, NewJob, OnLost, SessionId, State};

use crate::fixture::{ALICE, BOB, PARENTS, T0, cancel, enqueue, failure, new_job, succeed};
use crate::property::JobHistory;

/// No time passes, a backoff or a cancel grace passes, or a run_timeout with its slack passes.
const STEPS_MS: [Millis; 3] = [0, 1_000, 6_000];

/// Returns all reports under a lease.
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

fn all_commands(history: &JobHistory) -> Vec<Command> {
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
    // The newest lease is current or has just ended; the one before it is stale.
    history.leases.iter().rev().take(2).for_each(|lease| commands.extend(reports(*lease)));
    if let Some(lease) = history.leases.last() {
        let session = if lease.session == ALICE { BOB } else { ALICE };
        commands.extend(reports(LeaseId { session, ..*lease }));
    }
    commands
}

/// Returns what distinguishes two states for future commands. Times are relative to now and limited
/// to the longest timeout, and epochs are relative to the newest. Otherwise the exploration would
/// not end.
fn fingerprint(history: &JobHistory, now: Millis) -> impl Eq + Hash + use<> {
    let (spec, s) = (&history.job.spec, &history.job.status);
    let ahead = |at: Millis| (at - now).max(0);
    let ago = |at: Millis| (now - at).min(STEPS_MS[2]);
    let recorded = s.recorded_lease.map(|(epoch, session)| ((s.epoch - epoch).min(2), session));
    let stale = history.leases.iter().rev().nth(1).map(|lease| lease.session);
    (
        (s.state, s.reason, s.run.min(2), s.attempt, s.crashes, s.waiting_for.clone()),
        (ahead(s.ready_at), spec.start_deadline.map(ahead), s.started_at.is_some()),
        (s.lease.map(|lease| (ago(lease.granted_at), lease.id.session)), recorded, stale),
        (s.cancel.as_ref().map(|cancel| ago(cancel.at)), s.error.is_some()),
        (s.checkpoint.is_some(), s.result.is_some(), s.epoch.min(2)),
    )
}

/// Explores all states from a new job, and returns their number.
fn explore(new: NewJob) -> usize {
    let first = JobHistory::new(enqueue(new));
    let mut seen = HashSet::from([fingerprint(&first, T0)]);
    let mut frontier = vec![(first, T0)];
    for depth in 0.. {
        assert!(depth < 100, "the states never repeat");
        let mut next = Vec::new();
        for (history, at) in &frontier {
            for now in STEPS_MS.map(|step_ms| at + step_ms) {
                for command in all_commands(history) {
                    let mut history = history.clone();
                    if history.apply(&command, now) && seen.insert(fingerprint(&history, now)) {
                        next.push((history, now));
                    }
                }
            }
        }
        if next.is_empty() {
            println!("{} states, depth {depth}", seen.len());
            break;
        }
        frontier = next;
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
fn no_invariant_is_violated() {
    let seen = explore(job(|_| ()));
    assert!(seen > 1_000, "only {seen} states");
}

#[test]
fn no_invariant_is_violated_with_a_start_deadline() {
    let with_deadline = |new: &mut NewJob| {
        new.delay_ms = Some(1_000);
        new.start_deadline = Some(T0 + 2_000);
        new.on_lost = Some(OnLost::Fail);
    };
    let seen = explore(job(with_deadline));
    assert!(seen > 1_000, "only {seen} states");
}

#[test]
fn no_invariant_is_violated_with_a_dependency() {
    let seen = explore(job(|new| new.depends_on = vec![PARENTS[0].to_string()]));
    assert!(seen > 1_000, "only {seen} states");
}
