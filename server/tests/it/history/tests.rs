//! Plants one violation at a time in a valid history and checks that exactly it is reported.

use super::*;

fn job(version: u64, state: JobState, attempt: u32) -> ObservedJob {
    let reason = StateReason::Unspecified;
    ObservedJob { version, state, reason, run: 1, attempt, result: String::new() }
}

fn line(id: &str, attempt: u32, epoch: u64, is_start: bool) -> SideEffect {
    let instance = "w".to_owned();
    SideEffect { id: id.to_owned(), run: 1, attempt, epoch, instance, is_start }
}

fn lost(version: u64, attempt: u32) -> ObservedJob {
    ObservedJob { reason: StateReason::WorkerLost, ..job(version, JobState::Ready, attempt) }
}

/// Job `a` succeeds in its second attempt after the loss of its worker. Job `b` is cancelled while
/// it is ready.
fn valid_history() -> History {
    let mut history = History::default();
    let result = "a/1/2/2".to_owned();
    let end_of_a = ObservedJob { result, ..job(5, JobState::Succeeded, 2) };
    let end_of_b =
        ObservedJob { reason: StateReason::CancelledByCaller, ..job(2, JobState::Cancelled, 0) };
    let of_a = vec![
        job(1, JobState::Ready, 0),
        job(2, JobState::Running, 1),
        lost(3, 1),
        job(4, JobState::Running, 2),
        end_of_a.clone(),
    ];
    let of_b = vec![job(1, JobState::Ready, 0), end_of_b.clone()];
    history.watches = vec![vec![RecordedEvent::Snapshot(Vec::new())]; 2];
    for (id, jobs, end) in [("a", of_a, end_of_a), ("b", of_b, end_of_b)] {
        let id = id.to_owned();
        for watch in &mut history.watches {
            watch.extend(jobs.iter().map(|job| RecordedEvent::Change(id.clone(), job.clone())));
        }
        history.acknowledged.insert(id.clone());
        history.requests.insert(format!("r-{id}"), BTreeSet::from([id.clone()]));
        history.got.insert(id.clone(), end.clone());
        history.listed.push((id, ObservedJob { result: String::new(), ..end }));
    }
    history.side_effects =
        vec![line("a", 1, 1, true), line("a", 2, 2, true), line("a", 2, 2, false)];
    history.cancels.push(AcknowledgedCancel {
        id: "b".to_owned(),
        run: 1,
        version: 2,
        lines_before: 0,
    });
    history
}

/// Changes the events of one job in every watch.
fn rewrite(history: &mut History, id: &str, change: impl Fn(&mut Vec<ObservedJob>)) {
    for watch in &mut history.watches {
        let mut jobs = Vec::new();
        watch.retain(|event| match event {
            RecordedEvent::Change(of, job) if of == id => {
                jobs.push(job.clone());
                false
            }
            _ => true,
        });
        change(&mut jobs);
        watch.extend(jobs.into_iter().map(|job| RecordedEvent::Change(id.to_owned(), job)));
    }
}

fn check_with(change: impl FnOnce(&mut History)) -> Vec<Violation> {
    let mut history = valid_history();
    change(&mut history);
    check(&history).into_iter().collect()
}

fn a() -> String {
    "a".to_owned()
}

#[test]
fn a_valid_history_has_no_violations() {
    assert_eq!(check_with(|_| {}), []);
}

#[test]
fn a_lost_job_is_reported() {
    let lost = check_with(|h| {
        h.acknowledged.insert("c".to_owned());
    });
    assert_eq!(lost, [Violation::Lost { id: "c".to_owned() }]);
    let unlisted = check_with(|h| h.listed.retain(|(id, _)| id != "a"));
    assert_eq!(unlisted, [Violation::Lost { id: a() }]);
}

#[test]
fn differing_records_are_reported() {
    let other = check_with(|h| h.listed[0].1.version = 4);
    assert_eq!(other, [Violation::Disagreement { id: a() }]);
    let not_terminal = check_with(|h| {
        rewrite(h, "b", |jobs| jobs[1].state = JobState::Running);
        h.got.get_mut("b").unwrap().state = JobState::Running;
        h.listed[1].1.state = JobState::Running;
    });
    let terminal = Violation::TerminalStates { id: "b".to_owned(), run: 1, count: 0 };
    assert_eq!(not_terminal, [Violation::NotTerminal { id: "b".to_owned() }, terminal]);
}

#[test]
fn a_job_that_was_stored_twice_is_reported() {
    let extra = |h: &mut History| h.listed.push(("c".to_owned(), job(1, JobState::Ready, 0)));
    assert_eq!(check_with(extra), [Violation::UnexpectedJobs { jobs: 1 }]);
    let explained = check_with(|h| {
        extra(h);
        h.unknown_jobs = 1;
    });
    assert_eq!(explained, []);
    let split = check_with(|h| {
        h.requests.get_mut("r-a").unwrap().insert("b".to_owned());
    });
    assert_eq!(split, [Violation::RequestSplit { request_id: "r-a".to_owned() }]);
}

#[test]
fn two_terminal_states_in_one_run_are_reported() {
    let double = check_with(|h| {
        rewrite(h, "a", |jobs| {
            jobs[2] = job(3, JobState::Failed, 1);
            jobs[2].reason = StateReason::WorkerLost;
        });
    });
    assert_eq!(double, [Violation::TerminalStates { id: a(), run: 1, count: 2 }]);
    let retry = check_with(|h| h.retries.push((a(), 2)));
    assert_eq!(retry, [Violation::RetryLost { id: a(), run: 2 }]);
}

#[test]
fn overlapping_handlers_are_reported() {
    let fence = |n: u32| format!("a/1/{n}/{n}");
    let overlap = check_with(|h| {
        rewrite(h, "a", |jobs| jobs[2].reason = StateReason::HandlerError);
        h.side_effects.insert(2, line("a", 1, 1, false));
    });
    assert_eq!(overlap, [Violation::Overlap { first: fence(1), second: fence(2) }]);
    let abandoned = check_with(|h| {
        h.side_effects.insert(0, line("b", 1, 1, true));
        h.cancels.clear();
        rewrite(h, "b", |jobs| {
            jobs.insert(1, job(2, JobState::Running, 1));
            jobs[2].version = 3;
        });
        h.got.get_mut("b").unwrap().version = 3;
        h.listed[1].1.version = 3;
    });
    assert_eq!(abandoned, [Violation::Abandoned { fence: "b/1/1/1".to_owned() }]);
}

#[test]
fn a_start_after_an_acknowledged_cancel_is_reported() {
    let start = |h: &mut History, epoch| {
        h.side_effects.push(line("b", 1, epoch, true));
        h.side_effects.push(line("b", 1, epoch, false));
    };
    // The lease was granted and lost before the cancel; its handler starts late.
    let lease_before = |h: &mut History| {
        rewrite(h, "b", |jobs| {
            jobs.insert(1, job(2, JobState::Running, 1));
            jobs.insert(2, lost(3, 1));
            jobs[3].version = 4;
        });
        h.got.get_mut("b").unwrap().version = 4;
        h.listed[1].1.version = 4;
        h.cancels[0].version = 4;
    };
    let before_cancel = check_with(|h| {
        lease_before(h);
        start(h, 1);
    });
    assert_eq!(before_cancel, []);
    let late = check_with(|h| {
        lease_before(h);
        h.cancels[0].version = 1;
        start(h, 1);
    });
    assert_eq!(late, [Violation::StartAfterCancel { fence: "b/1/1/1".to_owned() }]);
}

#[test]
fn an_incomplete_watch_is_reported() {
    let missing = check_with(|h| {
        h.watches[1].remove(2);
    });
    assert_eq!(missing, [Violation::VersionSequence { id: a(), watch: 1 }]);
    let no_end = check_with(|h| {
        h.watches[0].pop();
    });
    assert_eq!(no_end, [Violation::VersionSequence { id: "b".to_owned(), watch: 0 }]);
    let back = check_with(|h| {
        let early = h.watches[1][1].clone();
        h.watches[1].insert(4, early);
    });
    assert_eq!(back, [Violation::VersionSequence { id: a(), watch: 1 }]);
    let repeated = check_with(|h| {
        let last = h.watches[1][3].clone();
        h.watches[1].insert(4, last);
    });
    assert_eq!(repeated, []);
}

#[test]
fn a_declared_gap_requires_a_snapshot_and_permits_missing_versions() {
    let snapshot = || {
        let lost = ObservedJob { result: String::new(), ..lost(3, 1) };
        RecordedEvent::Snapshot(vec![(a(), lost)])
    };
    let declared = check_with(|h| {
        h.watches[1].splice(2..4, [RecordedEvent::Gap, snapshot()]);
    });
    assert_eq!(declared, []);
    let without_snapshot = check_with(|h| {
        h.watches[1].splice(2..4, [RecordedEvent::Gap]);
    });
    assert_eq!(without_snapshot, [Violation::GapWithoutSnapshot { watch: 1 }]);
    let undeclared = check_with(|h| {
        h.watches[1].splice(2..4, [snapshot()]);
    });
    assert_eq!(undeclared, [Violation::UndeclaredSnapshot { watch: 1 }]);
    // A gap does not permit a version to be missing after it.
    let later = check_with(|h| {
        h.watches[1].splice(2..4, [RecordedEvent::Gap, snapshot()]);
        h.watches[1].remove(4);
    });
    assert_eq!(later, [Violation::VersionSequence { id: a(), watch: 1 }]);
}

#[test]
fn contradicting_watches_are_reported() {
    let conflicting =
        check_with(|h| h.watches[1][3] = RecordedEvent::Change(a(), job(3, JobState::Ready, 1)));
    assert_eq!(conflicting, [Violation::ConflictingVersion { id: a(), version: 3 }]);
    let other_end = check_with(|h| {
        rewrite(h, "b", |jobs| jobs[1].reason = StateReason::Replaced);
    });
    assert_eq!(other_end, [Violation::Disagreement { id: "b".to_owned() }]);
}

#[test]
fn the_result_of_a_stale_lease_is_reported() {
    let stale = check_with(|h| {
        let of_first = |job: &mut ObservedJob| job.result = "a/1/1/1".to_owned();
        rewrite(h, "a", |jobs| of_first(&mut jobs[4]));
        of_first(h.got.get_mut("a").unwrap());
        h.side_effects.push(line("a", 1, 1, false));
    });
    assert_eq!(stale, [Violation::StaleResult { id: a(), version: 5 }]);
}

#[test]
fn a_failed_health_check_is_reported() {
    let what = "a watch does not progress".to_owned();
    let unhealthy = check_with(|h| h.health_failures.push(what.clone()));
    assert_eq!(unhealthy, [Violation::Unhealthy { what }]);
}

#[test]
fn a_start_without_its_own_lease_is_reported() {
    let twice = check_with(|h| h.side_effects.insert(1, line("a", 1, 1, true)));
    assert_eq!(twice, [Violation::DoubleStart { fence: "a/1/1/1".to_owned() }]);
    let unleased = check_with(|h| {
        h.side_effects.insert(1, line("a", 1, 7, true));
    });
    assert_eq!(unleased, [Violation::StartWithoutLease { fence: "a/1/2/2".to_owned() }]);
}

#[test]
fn a_success_without_a_handler_end_is_reported() {
    let unfinished = check_with(|h| {
        h.side_effects.pop();
        h.side_effects.pop();
    });
    assert_eq!(unfinished, [Violation::SuccessWithoutEnd { id: a() }]);
}

#[test]
fn handler_lines_are_parsed() {
    let effect = SideEffect::parse("a/1/2/3\tw1\tend").unwrap();
    assert_eq!(effect.fence(), "a/1/2/3");
    assert!(!effect.is_start);
    assert_eq!(SideEffect::parse("a/1/2\tw1\tend"), None);
    assert_eq!(SideEffect::parse("a/1/2/3\tw1\tmiddle"), None);
}
