//! Jobs in every state, created only by commands, so that every fixture is reachable.

use std::sync::Arc;

use sentinel_domain::{
    Command, Dependency, Failure, Job, JobError, JobId, LeaseId, Millis, NewJob, SessionId, State,
    decide, initial_state,
};

/// The time of every enqueue.
pub(crate) const T0: Millis = 1_000_000;
/// The session of the worker.
pub(crate) const ALICE: SessionId = SessionId::from_u128(0xa11ce);
/// The session of another worker.
pub(crate) const BOB: SessionId = SessionId::from_u128(0xb0b);
/// The dependencies of blocked fixtures.
pub(crate) const PARENTS: [JobId; 2] = [JobId::from_u128(0x10), JobId::from_u128(0x11)];

pub(crate) fn new_job() -> NewJob {
    NewJob {
        queue: "mail".into(),
        kind: "send".into(),
        retry_base_ms: Some(100),
        retry_cap_ms: Some(400),
        jitter: Some(sentinel_domain::Jitter::None),
        ..NewJob::default()
    }
}

/// Returns an enqueued job. Its dependencies are running.
pub(crate) fn enqueue(new: NewJob) -> Job {
    let spec = new.into_spec("spec", "tests", T0, 1 << 20).expect("a valid job");
    let dependencies: Vec<Dependency> =
        spec.depends_on.iter().map(|id| Dependency { id: *id, state: State::Running }).collect();
    initial_state(JobId::from_u128(0x1), Arc::new(spec), &dependencies, T0)
}

/// Returns the job after a command, which must be accepted.
pub(crate) fn step(job: &Job, command: &Command, now: Millis) -> Job {
    match decide(job, command, now) {
        Ok(decision) => decision.job,
        Err(error) => panic!("{command:?} refused: {error} for {job:?}"),
    }
}

pub(crate) fn start(job: &Job, session: SessionId, now: Millis) -> Job {
    step(job, &Command::Start { session, worker: "worker-1".into() }, now)
}

pub(crate) fn lease(job: &Job) -> LeaseId {
    job.status.lease.expect("a running job").id
}

pub(crate) fn error(retryable: bool) -> JobError {
    JobError::new("no route", "NET", retryable)
}

pub(crate) fn failure(retryable: bool, next_delay_ms: Option<u64>) -> Failure {
    Failure { error: error(retryable), next_delay_ms, timed_out: false, entropy: 0 }
}

pub(crate) fn fail(lease: LeaseId) -> Command {
    Command::Fail { lease, started_at: None, failure: failure(true, None) }
}

pub(crate) fn succeed(lease: LeaseId) -> Command {
    Command::Succeed { lease, started_at: None, result: "done".into() }
}

pub(crate) fn cancel() -> Command {
    Command::Cancel { reason: "not needed".into(), actor: "tests".into() }
}
