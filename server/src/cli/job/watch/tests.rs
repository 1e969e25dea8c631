//! The lines of a watch in a pipe, and its exit code.

use sentinel_client::proto::jobs::v1::{
    GapReason, JobChange, JobProgress, Progress, WatchGap, WatchSnapshot,
};

use super::super::super::tests::{ID, Sink, job};
use super::lines::lines;
use super::*;

fn change(state: JobState) -> WatchEvent {
    WatchEvent::Change(JobChange { job: Some(job(state)) })
}

fn exit_code(events: &[WatchEvent]) -> u8 {
    let mut results = Results::default();
    events.iter().for_each(|event| results.update(event));
    results.exit_code()
}

#[test]
fn an_event_is_one_line() {
    let out = Sink::default().pipe(false);
    assert_eq!(
        lines(&change(JobState::Running), &out),
        [format!("{ID} running   mail/mail.send attempt 1")]
    );
    let progress = Progress { seq: 1, done: 3, total: 4, message: "third".to_owned() };
    let event = WatchEvent::Progress(JobProgress {
        id: ID.to_owned(),
        attempt: 1,
        progress: Some(progress),
    });
    assert_eq!(lines(&event, &out), [format!("{ID} progress  3/4 75% third")]);
    let gap = WatchEvent::Gap(WatchGap { reason: GapReason::SlowReader.into() });
    assert!(lines(&gap, &out)[0].contains("(slow reader)"));
}

#[test]
fn an_event_as_json_carries_its_cursor() {
    let value = json::event(&change(JobState::Succeeded), "1-7");
    assert_eq!(value["change"]["job"]["state"], "JOB_STATE_SUCCEEDED");
    assert_eq!(value["cursor"], "1-7");
}

#[test]
fn the_exit_code_depends_on_the_last_states_of_the_jobs() {
    use JobState::{Cancelled, Expired, Failed, Running, Succeeded};
    assert_eq!(exit_code(&[change(Running), change(Succeeded)]), 0);
    for state in [Failed, Cancelled, Expired] {
        assert_eq!(exit_code(&[change(state)]), 1);
    }
    // The job is retried, so only its last state counts.
    assert_eq!(exit_code(&[change(Failed), change(Running), change(Succeeded)]), 0);
    let unknown = WatchSnapshot { unknown_ids: vec![ID.to_owned()], ..WatchSnapshot::default() };
    assert_eq!(exit_code(&[WatchEvent::Snapshot(unknown)]), 3);
}

#[test]
fn a_watch_without_ids_and_filter_is_refused() {
    let args = WatchArgs {
        ids: Vec::new(),
        filter: FilterArgs::default(),
        logs: false,
        cursor: String::new(),
    };
    assert_eq!(args.validate(false).unwrap_err().exit_code(), 2);
}

#[test]
fn a_running_attempt_has_one_line_until_its_line_changes() {
    let change = |state, attempt, cancel_requested| {
        let job = Job { attempt, cancel_requested, ..job(state) };
        WatchEvent::Change(JobChange { job: Some(job) })
    };
    let mut printed = PrintedAttempts::default();
    assert!(!printed.contains_or_insert(&change(JobState::Running, 1, false)));
    assert!(printed.contains_or_insert(&change(JobState::Running, 1, false)), "a checkpoint");
    assert!(!printed.contains_or_insert(&change(JobState::Running, 1, true)), "a cancel");
    assert!(!printed.contains_or_insert(&change(JobState::Scheduled, 1, false)));
    assert!(!printed.contains_or_insert(&change(JobState::Running, 2, false)), "another attempt");
}
