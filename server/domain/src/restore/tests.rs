//! Tests with a restore at 5,000 ms and jobs enqueued at 1,000 ms.

use std::sync::Arc;

use super::*;
use crate::{JobId, NewJob, Reason, SessionId, State, decide, initial_state, start};

fn ready(on_lost: OnLost) -> Job {
    let new =
        NewJob { queue: "q".into(), kind: "k".into(), on_lost: Some(on_lost), ..NewJob::default() };
    let spec = new.into_spec("spec", "", 1_000, 1 << 20).expect("a valid job");
    initial_state(JobId::new(1_000, 0, 1), Arc::new(spec), &[], 1_000)
}

fn running(on_lost: OnLost) -> Job {
    start(&ready(on_lost), SessionId::from_u128(1), &"w".into(), 1_001).expect("a ready job")
}

#[test]
fn a_running_job_is_returned_unless_it_must_not_run_twice() {
    let after = |job: &Job| {
        decide(job, &restore_command(job).expect("the job is running"), 5_000)
            .expect("accepted")
            .job
            .status
    };
    let retried = after(&running(OnLost::Retry));
    assert_eq!((retried.state, retried.attempt, retried.crashes), (State::Ready, 0, 0));
    let failed = after(&running(OnLost::Fail));
    assert_eq!((failed.state, failed.reason), (State::Failed, Reason::WorkerLost));
    assert_eq!(restore_command(&ready(OnLost::Retry)), None);
}

#[test]
fn the_epoch_is_raised_above_all_lost_leases() {
    let raised =
        raise_epoch(&ready(OnLost::Retry), 5_000).expect("the job is older than the restore");
    assert_eq!(raised.status.epoch, 5_000);
    assert_eq!(raise_epoch(&raised, 5_000), None, "the epoch is raised once");
    assert_eq!(raise_epoch(&running(OnLost::Retry), 5_000), None, "a running job keeps its epoch");
    assert_eq!(raise_epoch(&ready(OnLost::Retry), 0), None, "there was no restore");
    assert_eq!(
        raise_epoch(&ready(OnLost::Retry), 1_000),
        None,
        "the job is newer than the restore"
    );
}
