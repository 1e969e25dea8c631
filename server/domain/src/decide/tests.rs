//! Rules that the state machine table does not show.

use std::sync::Arc;

use bytes::Bytes;

use super::*;
use crate::limits::{CHECKPOINT_BYTES, RESULT_BYTES};
use crate::{JobId, LeaseId, NewJob, Spec, initial_state, next_deadline};

const SESSION: SessionId = SessionId::from_u128(1);

fn ready(edit: impl FnOnce(&mut NewJob)) -> Job {
    let mut new = NewJob { queue: "q".into(), kind: "k".into(), ..NewJob::default() };
    edit(&mut new);
    let spec = new.into_spec("spec", "", 0, 1 << 20).expect("a valid job");
    initial_state(JobId::from_u128(1), Arc::new(spec), &[], 0)
}

fn run(job: &Job, now: Millis) -> (Job, LeaseId) {
    let job = start(job, SESSION, &"w".into(), now).expect("a ready job");
    let lease = job.status.lease.expect("a running job has a lease").id;
    (job, lease)
}

fn after(job: &Job, command: Command, now: Millis) -> Job {
    decide(job, &command, now).expect("an accepted command").job
}

#[test]
fn a_snoozed_job_no_longer_expires() {
    let (job, lease) = run(&ready(|new| new.start_deadline = Some(100)), 10);
    let job = after(&job, Command::Snooze { lease, started_at: None, delay_ms: 500 }, 20);
    assert_eq!((job.status.attempt, next_deadline(&job)), (0, None));
    assert_eq!(decide(&job, &Command::Expire, 200), Err(CommandError::NotDue));
}

#[test]
fn a_snoozed_and_returned_job_does_not_expire() {
    let (job, lease) = run(&ready(|new| new.start_deadline = Some(100)), 10);
    let job = after(&job, Command::Snooze { lease, started_at: None, delay_ms: 5 }, 20);
    let job = promote(&job, 25).expect("the job is due");
    let (job, lease) = run(&job, 30);
    let job = after(&job, Command::NotReceived { lease }, 40);
    assert_eq!((job.status.attempt, next_deadline(&job)), (0, None));
    assert_eq!(decide(&job, &Command::Expire, 200), Err(CommandError::NotDue));
}

#[test]
fn a_returned_job_still_expires() {
    let (job, lease) = run(&ready(|new| new.start_deadline = Some(100)), 10);
    let job = after(&job, Command::NotReceived { lease }, 20);
    assert_eq!((job.status.started_at, next_deadline(&job)), (None, Some(100)));
    assert_eq!(after(&job, Command::Expire, 100).status.state, State::Expired);
}

#[test]
fn a_returned_job_with_a_later_run_at_is_scheduled() {
    let (job, lease) = run(&ready(|_| ()), 10);
    let job = after(&job, Command::NotReceived { lease }, 20);
    let put = |edit: &dyn Fn(&mut Spec)| {
        let mut spec = (*job.spec).clone();
        edit(&mut spec);
        after(&job, Command::Update { spec: Arc::new(spec) }, 30).status
    };
    let off = put(&|spec| spec.run_at = 500);
    assert_eq!((off.state, off.reason), (State::Scheduled, Reason::None));
    let urgent = put(&|spec| spec.priority = 9);
    assert_eq!((urgent.state, urgent.reason), (State::Ready, Reason::Released));
}

#[test]
fn a_checkpoint_after_its_report_is_fenced() {
    let (job, lease) = run(&ready(|_| ()), 10);
    let succeed = Command::Succeed { lease, started_at: None, result: Bytes::new() };
    let job = after(&job, succeed.clone(), 20);
    let checkpoint = Command::Checkpoint { lease, data: Bytes::new() };
    assert_eq!(decide(&job, &checkpoint, 30), Err(CommandError::Fenced));
    assert_eq!(decide(&job, &succeed, 30), Err(CommandError::Duplicate));
}

#[test]
fn a_reported_start_is_clamped_to_the_attempt() {
    let (job, lease) = run(&ready(|_| ()), 10);
    for (reported, stored) in [(i64::MIN, 10), (15, 15), (i64::MAX, 20)] {
        let succeed = Command::Succeed { lease, started_at: Some(reported), result: Bytes::new() };
        assert_eq!(after(&job, succeed, 20).status.started_at, Some(stored));
    }
}

#[test]
fn results_and_checkpoints_are_limited() {
    let (job, lease) = run(&ready(|_| ()), 10);
    let succeed = |len: u64| Command::Succeed {
        lease,
        started_at: None,
        result: vec![0; len as usize].into(),
    };
    assert_eq!(after(&job, succeed(RESULT_BYTES), 20).status.state, State::Succeeded);
    let failed = after(&job, succeed(RESULT_BYTES + 1), 20).status;
    assert_eq!((failed.state, failed.reason), (State::Failed, Reason::NotRetryable));
    assert_eq!(failed.error.expect("an error").code.as_ref(), "RESULT_TOO_LARGE");

    let keep = |len: u64| Command::Checkpoint { lease, data: vec![0; len as usize].into() };
    assert!(decide(&job, &keep(CHECKPOINT_BYTES), 20).is_ok());
    assert_eq!(
        decide(&job, &keep(CHECKPOINT_BYTES + 1), 20),
        Err(CommandError::CheckpointTooLarge)
    );
}

#[test]
fn a_retry_resets_attempts_and_keeps_the_epoch() {
    let (job, lease) = run(&ready(|_| ()), 10);
    let job = after(&job, Command::Checkpoint { lease, data: "half".into() }, 15);
    let job = after(&job, Command::Cancel { reason: "".into(), actor: "".into() }, 20);
    let job = after(&job, Command::Stop { lease, started_at: None, entropy: 0 }, 25);
    let job = after(&job, Command::Retry, 30);
    let status = &job.status;
    assert_eq!((status.run, status.attempt, status.epoch), (2, 0, 1));
    assert_eq!((status.started_at, &status.worker, &status.cancel), (None, &None, &None));
    assert_eq!(status.checkpoint.as_deref(), Some(b"half".as_slice()));
    assert_eq!(decide(&job, &Command::Release { lease }, 40), Err(CommandError::Duplicate));
}
