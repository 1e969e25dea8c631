//! All combinations of a situation of a job and a command: the data of the golden file and of
//! docs/state-machine.md.

use std::sync::Arc;

use bytes::Bytes;
use sentinel_domain::{
    Command, CommandError, Job, JobId, LeaseId, Millis, NewJob, OnLost, SessionId, SpecUpdate,
    State, decide, limits,
};

use crate::fixture::{
    ALICE, BOB, PARENTS, T0, cancel, enqueue, fail, failure, lease, new_job, start, step, succeed,
};

/// The time of every command: after due times and before deadlines, unless the situation says
/// otherwise.
pub(crate) const NOW: Millis = T0 + 10_000;

/// A job in a situation, with its last lease.
pub(crate) struct Situation {
    pub name: &'static str,
    pub job: Job,
    pub lease: LeaseId,
}

/// Returns a lease that no fixture has granted.
fn stale() -> LeaseId {
    LeaseId { run: 1, attempt: 1, epoch: 1, session: BOB }
}

fn running(edit: impl FnOnce(&mut NewJob)) -> Job {
    let mut new = new_job();
    edit(&mut new);
    start(&enqueue(new), ALICE, NOW - 5_000)
}

fn waiting(edit: impl FnOnce(&mut NewJob)) -> Job {
    let mut new = new_job();
    edit(&mut new);
    enqueue(new)
}

fn crashed_twice() -> Job {
    let mut job = running(|new| new.max_attempts = 10);
    for at in [NOW - 4_000, NOW - 3_000] {
        job = start(&step(&job, &Command::MarkLost { session: ALICE }, at), ALICE, at);
    }
    job
}

fn timed_out(max_attempts: u32) -> Job {
    let job = waiting(|new| {
        new.run_timeout_ms = Some(1);
        new.max_attempts = max_attempts;
    });
    start(&job, ALICE, T0)
}

fn blocked(new: &mut NewJob) {
    new.depends_on = PARENTS[..1].iter().map(ToString::to_string).collect();
}

/// Returns all situations, in the order of the states.
pub(crate) fn situations() -> Vec<Situation> {
    let once = running(|_| ());
    let last = running(|new| new.max_attempts = 1);
    let cancelled = step(&once, &cancel(), NOW - 1_000);
    let grace_over = step(&running(|new| new.cancel_grace_ms = Some(0)), &cancel(), NOW - 1_000);
    let next_hour = |new: &mut NewJob| new.delay_ms = Some(3_600_000);
    let brief = |new: &mut NewJob| new.delay_ms = Some(1);
    let soon = |new: &mut NewJob| new.start_deadline = Some(T0 + 5_000);
    let failed_once = Command::Fail {
        lease: lease(&once),
        started_at: None,
        failure: failure(true, Some(60_000)),
    };
    let with_lease_of = |name, job: Job, of: &Job| Situation { name, lease: lease(of), job };
    let with_own_lease = |name, job: Job| Situation { name, lease: lease(&job), job };
    let never_started = |name, job| Situation { name, lease: stale(), job };
    let stopped = Command::Stop { lease: lease(&once), started_at: None, entropy: 0 };
    let in_two = |new: &mut NewJob| {
        new.depends_on = PARENTS.iter().map(ToString::to_string).collect();
    };
    vec![
        never_started("SCHEDULED not due", waiting(next_hour)),
        never_started("SCHEDULED due", waiting(brief)),
        never_started(
            "SCHEDULED past its start deadline",
            waiting(|new| (brief(new), soon(new)).0),
        ),
        with_lease_of("SCHEDULED between attempts", step(&once, &failed_once, NOW - 1), &once),
        never_started("BLOCKED by one job", waiting(blocked)),
        never_started("BLOCKED by two jobs", waiting(in_two)),
        never_started(
            "BLOCKED past its start deadline",
            waiting(|new| (blocked(new), soon(new)).0),
        ),
        never_started("BLOCKED not due", waiting(|new| (blocked(new), next_hour(new)).0)),
        never_started("READY", waiting(|_| ())),
        never_started("READY past its start deadline", waiting(soon)),
        with_own_lease("RUNNING", once.clone()),
        with_own_lease("RUNNING last attempt", last.clone()),
        with_lease_of("RUNNING cancel requested", cancelled, &once),
        with_own_lease("RUNNING cancel requested, grace over", grace_over),
        with_own_lease("RUNNING past its run_timeout", timed_out(10)),
        with_own_lease("RUNNING last attempt past its run_timeout", timed_out(1)),
        with_own_lease(
            "RUNNING cancel requested, past its run_timeout",
            step(&timed_out(10), &cancel(), NOW),
        ),
        with_own_lease("RUNNING after two crashes", crashed_twice()),
        with_own_lease(
            "RUNNING with on_lost FAIL",
            running(|new| new.on_lost = Some(OnLost::Fail)),
        ),
        with_lease_of("SUCCEEDED", step(&once, &succeed(lease(&once)), NOW - 1), &once),
        with_lease_of("FAILED", step(&last, &fail(lease(&last)), NOW - 1), &last),
        with_lease_of(
            "CANCELLED by its handler",
            step(&step(&once, &cancel(), NOW), &stopped, NOW),
            &once,
        ),
        never_started("CANCELLED by replacement", step(&waiting(|_| ()), &Command::Replace, NOW)),
        never_started("CANCELLED by deletion", step(&waiting(|_| ()), &Command::Delete, NOW)),
        never_started("EXPIRED", step(&waiting(soon), &Command::Expire, NOW - 1)),
    ]
}

/// A command with its name.
pub(crate) struct NamedCommand {
    pub name: &'static str,
    pub command: Command,
}

/// Returns all commands, with the lease and the spec of the situation.
pub(crate) fn commands(lease: LeaseId, job: &Job) -> Vec<NamedCommand> {
    let named = |name, command| NamedCommand { name, command };
    let mut all = commands_without_lease();
    all.extend(updates(job));
    all.extend([
        named("NotReceived", Command::NotReceived { lease }),
        named("Succeed", succeed(lease)),
        named("Succeed, result too large", too_large(lease)),
        named("Fail", fail(lease)),
        named("Fail, at once", with_failure(lease, failure(true, Some(0)))),
        named("Fail, not retryable", with_failure(lease, failure(false, None))),
        named(
            "Fail, timed out",
            with_failure(
                lease,
                sentinel_domain::Failure { timed_out: true, ..failure(true, None) },
            ),
        ),
        named("Snooze", Command::Snooze { lease, started_at: None, delay_ms: 1_000 }),
        named("Snooze, no delay", Command::Snooze { lease, started_at: None, delay_ms: 0 }),
        named("Release", Command::Release { lease }),
        named("Stop", Command::Stop { lease, started_at: None, entropy: 0 }),
        named("Checkpoint", Command::Checkpoint { lease, data: "half".into() }),
        named("Checkpoint, too large", Command::Checkpoint { lease, data: checkpoint_too_large() }),
    ]);
    let other = LeaseId { session: SessionId::from_u128(0xe7e), ..lease };
    all.extend([
        named("Succeed, stale lease", succeed(other)),
        named("Fail, stale lease", fail(other)),
        named("Release, stale lease", Command::Release { lease: other }),
        named("Checkpoint, stale lease", Command::Checkpoint { lease: other, data: "x".into() }),
    ]);
    all
}

fn commands_without_lease() -> Vec<NamedCommand> {
    let named = |name, command| NamedCommand { name, command };
    let [parent, _] = PARENTS;
    let unrelated = JobId::from_u128(0x99);
    let unblock = |parent, outcome| Command::Unblock { parent, outcome };
    vec![
        named("Promote", Command::Promote),
        named("Start", Command::Start { session: ALICE, worker: "worker-1".into() }),
        named("Expire", Command::Expire),
        named("Unblock, succeeded", unblock(parent, State::Succeeded)),
        named("Unblock, failed", unblock(parent, State::Failed)),
        named("Unblock, not terminal", unblock(parent, State::Running)),
        named("Unblock, another job", unblock(unrelated, State::Succeeded)),
        named("Replace", Command::Replace),
        named("Cancel", cancel()),
        named("Revoke", Command::Revoke),
        named("TimeOut", Command::TimeOut { entropy: 0 }),
        named("MarkLost", Command::MarkLost { session: ALICE }),
        named("MarkLost, another session", Command::MarkLost { session: BOB }),
        named("Retry", Command::Retry),
        named("RunNow", Command::RunNow),
        named("Delete", Command::Delete),
    ]
}

fn updates(job: &Job) -> [NamedCommand; 3] {
    let with = |values: SpecUpdate| {
        let spec = values.apply(&job.spec, "spec", NOW, limits::PAYLOAD_MAX_BYTES);
        // The new time may be after the start deadline.
        Command::Update { spec: spec.map_or_else(|_| job.spec.clone(), Arc::new) }
    };
    let at = |run_at| SpecUpdate { run_at: Some(run_at), ..SpecUpdate::default() };
    let other = SpecUpdate {
        payload: Some("other".into()),
        priority: Some(7),
        labels: Some(vec![("shop".into(), "42".into())]),
        ..SpecUpdate::default()
    };
    [
        NamedCommand { name: "Update", command: with(other) },
        NamedCommand { name: "Update, due now", command: with(at(None)) },
        NamedCommand { name: "Update, due later", command: with(at(Some(NOW + 60_000))) },
    ]
}

fn with_failure(lease: LeaseId, failure: sentinel_domain::Failure) -> Command {
    Command::Fail { lease, started_at: None, failure }
}

fn too_large(lease: LeaseId) -> Command {
    let result: Bytes = vec![0; limits::RESULT_BYTES as usize + 1].into();
    Command::Succeed { lease, started_at: None, result }
}

fn checkpoint_too_large() -> Bytes {
    vec![0; limits::CHECKPOINT_BYTES as usize + 1].into()
}

/// A cell of the table.
pub(crate) struct Cell {
    pub situation: &'static str,
    pub from: State,
    pub command_name: &'static str,
    pub result: Result<sentinel_domain::Decision, CommandError>,
    pub before: Job,
}

/// Returns all cells.
pub(crate) fn cells() -> Vec<Cell> {
    let mut cells = Vec::new();
    for Situation { name: situation, job, lease } in situations() {
        for NamedCommand { name: command_name, command } in commands(lease, &job) {
            cells.push(Cell {
                situation,
                from: job.status.state,
                command_name,
                result: decide(&job, &command, NOW),
                before: job.clone(),
            });
        }
    }
    cells
}

/// Returns a name in upper case with underscores.
pub(crate) fn upper_snake_case(name: &str) -> String {
    let mut out = String::new();
    for c in name.chars() {
        if c.is_uppercase() && !out.is_empty() {
            out.push('_');
        }
        out.push(c.to_ascii_uppercase());
    }
    out
}
