//! Every situation of a job crossed with everything that can be asked of it: the data of
//! the golden file and of docs/state-machine.md.

use std::sync::Arc;

use bytes::Bytes;
use sentinel_domain::{
    Command, CommandError, Job, JobId, LeaseId, Millis, NewJob, OnLost, SessionId, SpecUpdate,
    State, decide, limits,
};

use crate::fixture::{
    ALICE, BOB, PARENTS, T0, cancel, enqueue, fail, failure, lease, new_job, start, step, succeed,
};

/// When every command is judged: after due times and before deadlines, where not said.
pub(crate) const NOW: Millis = T0 + 10_000;

/// A job in some situation, with the last lease that it gave, if any.
pub(crate) struct Situation {
    pub name: &'static str,
    pub job: Job,
    pub lease: LeaseId,
}

/// A lease that no fixture ever gave.
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

/// All situations, in the order of the states.
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
    let given = |name, job: Job, of: &Job| Situation { name, lease: lease(of), job };
    let own = |name, job: Job| Situation { name, lease: lease(&job), job };
    let fresh = |name, job| Situation { name, lease: stale(), job };
    let stopped = Command::Stop { lease: lease(&once), started_at: None, entropy: 0 };
    let in_two = |new: &mut NewJob| {
        new.depends_on = PARENTS.iter().map(ToString::to_string).collect();
    };
    vec![
        fresh("SCHEDULED not due", waiting(next_hour)),
        fresh("SCHEDULED due", waiting(brief)),
        fresh("SCHEDULED past its start deadline", waiting(|new| (brief(new), soon(new)).0)),
        given("SCHEDULED between attempts", step(&once, &failed_once, NOW - 1), &once),
        fresh("BLOCKED by one job", waiting(blocked)),
        fresh("BLOCKED by two jobs", waiting(in_two)),
        fresh("BLOCKED past its start deadline", waiting(|new| (blocked(new), soon(new)).0)),
        fresh("BLOCKED not due", waiting(|new| (blocked(new), next_hour(new)).0)),
        fresh("READY", waiting(|_| ())),
        fresh("READY past its start deadline", waiting(soon)),
        own("RUNNING", once.clone()),
        own("RUNNING last attempt", last.clone()),
        given("RUNNING cancel requested", cancelled, &once),
        own("RUNNING cancel requested, grace over", grace_over),
        own("RUNNING past its run_timeout", timed_out(10)),
        own("RUNNING last attempt past its run_timeout", timed_out(1)),
        own("RUNNING cancel requested, past its run_timeout", step(&timed_out(10), &cancel(), NOW)),
        own("RUNNING after two crashes", crashed_twice()),
        own("RUNNING with on_lost FAIL", running(|new| new.on_lost = Some(OnLost::Fail))),
        given("SUCCEEDED", step(&once, &succeed(lease(&once)), NOW - 1), &once),
        given("FAILED", step(&last, &fail(lease(&last)), NOW - 1), &last),
        given("CANCELLED by its handler", step(&step(&once, &cancel(), NOW), &stopped, NOW), &once),
        fresh("CANCELLED by replacement", step(&waiting(|_| ()), &Command::Replace, NOW)),
        fresh("CANCELLED by deletion", step(&waiting(|_| ()), &Command::Delete, NOW)),
        fresh("EXPIRED", step(&waiting(soon), &Command::Expire, NOW - 1)),
    ]
}

/// A command with the name of its variant.
pub(crate) struct Question {
    pub name: &'static str,
    pub command: Command,
}

/// All commands, with the lease and the spec that the situation gave.
pub(crate) fn questions(lease: LeaseId, job: &Job) -> Vec<Question> {
    let ask = |name, command| Question { name, command };
    let mut all = from_outside();
    all.extend(updates(job));
    all.extend([
        ask("NotReceived", Command::NotReceived { lease }),
        ask("Succeed", succeed(lease)),
        ask("Succeed, result too large", too_large(lease)),
        ask("Fail", fail(lease)),
        ask("Fail, at once", with_failure(lease, failure(true, Some(0)))),
        ask("Fail, not retryable", with_failure(lease, failure(false, None))),
        ask(
            "Fail, timed out",
            with_failure(
                lease,
                sentinel_domain::Failure { timed_out: true, ..failure(true, None) },
            ),
        ),
        ask("Snooze", Command::Snooze { lease, started_at: None, delay_ms: 1_000 }),
        ask("Snooze, no delay", Command::Snooze { lease, started_at: None, delay_ms: 0 }),
        ask("Release", Command::Release { lease }),
        ask("Stop", Command::Stop { lease, started_at: None, entropy: 0 }),
        ask("Checkpoint", Command::Checkpoint { lease, data: "half".into() }),
        ask("Checkpoint, too large", Command::Checkpoint { lease, data: checkpoint_too_large() }),
    ]);
    let other = LeaseId { session: SessionId::from_u128(0xe7e), ..lease };
    all.extend([
        ask("Succeed, stale lease", succeed(other)),
        ask("Fail, stale lease", fail(other)),
        ask("Release, stale lease", Command::Release { lease: other }),
        ask("Checkpoint, stale lease", Command::Checkpoint { lease: other, data: "x".into() }),
    ]);
    all
}

fn from_outside() -> Vec<Question> {
    let ask = |name, command| Question { name, command };
    let [parent, _] = PARENTS;
    let nobody = JobId::from_u128(0x99);
    let unblock = |parent, outcome| Command::Unblock { parent, outcome };
    vec![
        ask("Promote", Command::Promote),
        ask("Start", Command::Start { session: ALICE, worker: "worker-1".into() }),
        ask("Expire", Command::Expire),
        ask("Unblock, succeeded", unblock(parent, State::Succeeded)),
        ask("Unblock, failed", unblock(parent, State::Failed)),
        ask("Unblock, not final", unblock(parent, State::Running)),
        ask("Unblock, another job", unblock(nobody, State::Succeeded)),
        ask("Replace", Command::Replace),
        ask("Cancel", cancel()),
        ask("Revoke", Command::Revoke),
        ask("TimeOut", Command::TimeOut { entropy: 0 }),
        ask("Lose", Command::MarkLost { session: ALICE }),
        ask("Lose, another session", Command::MarkLost { session: BOB }),
        ask("Retry", Command::Retry),
        ask("RunNow", Command::RunNow),
        ask("Delete", Command::Delete),
    ]
}

fn updates(job: &Job) -> [Question; 3] {
    let with = |values: SpecUpdate| {
        let spec = values.apply(&job.spec, "spec", NOW, limits::PAYLOAD_MAX_BYTES);
        // Some have a start deadline that lies before the new time.
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
        Question { name: "Update", command: with(other) },
        Question { name: "Update, due now", command: with(at(None)) },
        Question { name: "Update, due later", command: with(at(Some(NOW + 60_000))) },
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

/// One cell of the table.
pub(crate) struct Cell {
    pub situation: &'static str,
    pub from: State,
    pub question: &'static str,
    pub answer: Result<sentinel_domain::Decision, CommandError>,
    pub before: Job,
}

/// All of them.
pub(crate) fn cells() -> Vec<Cell> {
    let mut cells = Vec::new();
    for Situation { name: situation, job, lease } in situations() {
        for Question { name: question, command } in questions(lease, &job) {
            cells.push(Cell {
                situation,
                from: job.status.state,
                question,
                answer: decide(&job, &command, NOW),
                before: job.clone(),
            });
        }
    }
    cells
}

/// As the contract spells it.
pub(crate) fn spelled(name: &str) -> String {
    let mut out = String::new();
    for c in name.chars() {
        if c.is_uppercase() && !out.is_empty() {
            out.push('_');
        }
        out.push(c.to_ascii_uppercase());
    }
    out
}
