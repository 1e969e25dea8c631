//! A deadline triggers its command at its time and not before, and the command is accepted.

use sentinel_domain::{Command, Job, Millis, State, deadline_command, decide, next_deadline};

use crate::fixture::{ALICE, PARENTS, T0, cancel, enqueue, new_job, start, step};
use crate::machine::situations;

/// Checks the deadline of a job. The property tests also use it.
pub(crate) fn check(job: &Job) {
    let Some(at) = next_deadline(job) else {
        assert_eq!(deadline_command(job, i64::MAX, 0), None, "{job:?}");
        return;
    };
    assert_eq!(deadline_command(job, at - 1, 0), None, "{job:?}");
    for now in [at, at + 1, i64::MAX] {
        let command = deadline_command(job, now, 0).expect("a command at the deadline");
        let result = decide(job, &command, now);
        assert!(result.is_ok(), "{command:?} at the deadline is refused: {result:?}");
    }
}

#[test]
fn deadlines_of_all_situations_are_correct() {
    situations().iter().for_each(|situation| check(&situation.job));
}

fn command_at(job: &Job, now: Millis) -> Option<Command> {
    deadline_command(job, now, 9)
}

#[test]
fn the_start_deadline_applies_in_all_waiting_states_until_the_first_start() {
    let deadline = T0 + 500;
    let with = |delay_ms, parents: usize| {
        let mut new = new_job();
        new.start_deadline = Some(deadline);
        new.delay_ms = Some(delay_ms);
        new.depends_on = PARENTS[..parents].iter().map(ToString::to_string).collect();
        enqueue(new)
    };
    for job in [with(0, 0), with(100, 0), with(0, 1)] {
        assert_eq!(next_deadline(&job), Some(deadline));
        assert_eq!(command_at(&job, deadline), Some(Command::Expire));
        let expired = step(&job, &Command::Expire, deadline);
        assert_eq!((expired.status.state, next_deadline(&expired)), (State::Expired, None));
    }
    let running = start(&with(0, 0), ALICE, deadline - 1);
    assert_eq!(next_deadline(&running), None);
    let start_late = Command::Start { session: ALICE, worker: "w".into() };
    assert!(decide(&with(0, 0), &start_late, deadline).is_err());
}

#[test]
fn the_deadline_of_a_running_job_is_the_earlier_of_timeout_and_grace() {
    let mut new = new_job();
    new.run_timeout_ms = Some(10_000);
    new.cancel_grace_ms = Some(2_000);
    let running = start(&enqueue(new), ALICE, T0);
    assert_eq!(next_deadline(&running), Some(T0 + 15_000));
    assert_eq!(command_at(&running, T0 + 15_000), Some(Command::TimeOut { entropy: 9 }));
    let early = step(&running, &cancel(), T0 + 1_000);
    assert_eq!(next_deadline(&early), Some(T0 + 3_000));
    assert_eq!(command_at(&early, T0 + 3_000), Some(Command::Revoke));
    let late = step(&running, &cancel(), T0 + 14_000);
    assert_eq!(next_deadline(&late), Some(T0 + 15_000));
    assert_eq!(command_at(&late, T0 + 15_000), Some(Command::TimeOut { entropy: 9 }));
    assert_eq!(command_at(&late, T0 + 16_000), Some(Command::Revoke));
}
