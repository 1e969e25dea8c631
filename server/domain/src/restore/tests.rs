//! A restore at 5,000 ms, of jobs that were enqueued at 1,000 ms.

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
fn a_running_job_goes_back_uncounted_unless_it_must_not_run_twice() {
    let after = |job: &Job| {
        decide(job, &restore_command(job).expect("it runs"), 5_000).expect("accepted").job.status
    };
    let retried = after(&running(OnLost::Retry));
    assert_eq!((retried.state, retried.attempt, retried.crashes), (State::Ready, 0, 0));
    let failed = after(&running(OnLost::Fail));
    assert_eq!((failed.state, failed.reason), (State::Failed, Reason::WorkerLost));
    assert_eq!(restore_command(&ready(OnLost::Retry)), None);
}

#[test]
fn the_next_lease_is_above_all_that_the_lost_time_gave_out() {
    let raised = raise_epoch(&ready(OnLost::Retry), 5_000).expect("it is older");
    assert_eq!(raised.status.epoch, 5_000);
    assert_eq!(raise_epoch(&raised, 5_000), None, "once");
    assert_eq!(raise_epoch(&running(OnLost::Retry), 5_000), None, "its lease is compared by it");
    assert_eq!(raise_epoch(&ready(OnLost::Retry), 0), None, "nothing was restored");
    assert_eq!(raise_epoch(&ready(OnLost::Retry), 1_000), None, "it came after");
}
