//! Plants each fault in a history without one, and sees it found and nothing else.

use super::*;

fn look(version: u64, state: JobState, attempt: u32) -> Look {
    let reason = StateReason::Unspecified;
    Look { version, state, reason, run: 1, attempt, result: String::new() }
}

fn line(id: &str, attempt: u32, epoch: u64, is_start: bool) -> Effect {
    let instance = "w".to_owned();
    Effect { id: id.to_owned(), run: 1, attempt, epoch, instance, is_start }
}

fn lost(version: u64, attempt: u32) -> Look {
    Look { reason: StateReason::WorkerLost, ..look(version, JobState::Ready, attempt) }
}

/// `a` succeeds in its second attempt, after its worker was lost; `b` is cancelled while it
/// waits.
fn sound() -> History {
    let mut history = History::default();
    let result = "a/1/2/2".to_owned();
    let end_of_a = Look { result, ..look(5, JobState::Succeeded, 2) };
    let end_of_b =
        Look { reason: StateReason::CancelledByCaller, ..look(2, JobState::Cancelled, 0) };
    let of_a = vec![
        look(1, JobState::Ready, 0),
        look(2, JobState::Running, 1),
        lost(3, 1),
        look(4, JobState::Running, 2),
        end_of_a.clone(),
    ];
    let of_b = vec![look(1, JobState::Ready, 0), end_of_b.clone()];
    history.watches = vec![vec![Seen::Snapshot(Vec::new())]; 2];
    for (id, looks, end) in [("a", of_a, end_of_a), ("b", of_b, end_of_b)] {
        let id = id.to_owned();
        for watch in &mut history.watches {
            watch.extend(looks.iter().map(|look| Seen::Change(id.clone(), look.clone())));
        }
        history.acknowledged.insert(id.clone());
        history.requests.insert(format!("r-{id}"), BTreeSet::from([id.clone()]));
        history.got.insert(id.clone(), end.clone());
        history.listed.push((id, Look { result: String::new(), ..end }));
    }
    history.effects = vec![line("a", 1, 1, true), line("a", 2, 2, true), line("a", 2, 2, false)];
    history.cancels.push(Cancelled { id: "b".to_owned(), run: 1, version: 2, lines_before: 0 });
    history
}

/// Changes what every watch showed of a job.
fn rewrite(history: &mut History, id: &str, change: impl Fn(&mut Vec<Look>)) {
    for watch in &mut history.watches {
        let mut looks = Vec::new();
        watch.retain(|seen| match seen {
            Seen::Change(of, look) if of == id => {
                looks.push(look.clone());
                false
            }
            _ => true,
        });
        change(&mut looks);
        watch.extend(looks.into_iter().map(|look| Seen::Change(id.to_owned(), look)));
    }
}

fn planted(fault: impl FnOnce(&mut History)) -> Vec<Violation> {
    let mut history = sound();
    fault(&mut history);
    check(&history).into_iter().collect()
}

fn a() -> String {
    "a".to_owned()
}

#[test]
fn a_sound_history_passes() {
    assert_eq!(planted(|_| {}), []);
}

#[test]
fn a_lost_job_is_found() {
    let lost = planted(|h| {
        h.acknowledged.insert("c".to_owned());
    });
    assert_eq!(lost, [Violation::Lost { id: "c".to_owned() }]);
    let unlisted = planted(|h| h.listed.retain(|(id, _)| id != "a"));
    assert_eq!(unlisted, [Violation::Lost { id: a() }]);
}

#[test]
fn records_that_differ_are_found() {
    let other = planted(|h| h.listed[0].1.version = 4);
    assert_eq!(other, [Violation::Disagreement { id: a() }]);
    let live = planted(|h| {
        rewrite(h, "b", |looks| looks[1].state = JobState::Running);
        h.got.get_mut("b").unwrap().state = JobState::Running;
        h.listed[1].1.state = JobState::Running;
    });
    let finals = Violation::Finals { id: "b".to_owned(), run: 1, finals: 0 };
    assert_eq!(live, [Violation::NotFinal { id: "b".to_owned() }, finals]);
}

#[test]
fn a_job_that_was_stored_twice_is_found() {
    let extra = |h: &mut History| h.listed.push(("c".to_owned(), look(1, JobState::Ready, 0)));
    assert_eq!(planted(extra), [Violation::Surplus { jobs: 1 }]);
    let explained = planted(|h| {
        extra(h);
        h.unknown_jobs = 1;
    });
    assert_eq!(explained, []);
    let split = planted(|h| {
        h.requests.get_mut("r-a").unwrap().insert("b".to_owned());
    });
    assert_eq!(split, [Violation::RequestSplit { request_id: "r-a".to_owned() }]);
}

#[test]
fn a_double_final_is_found() {
    let double = planted(|h| {
        rewrite(h, "a", |looks| {
            looks[2] = look(3, JobState::Failed, 1);
            looks[2].reason = StateReason::WorkerLost;
        });
    });
    assert_eq!(double, [Violation::Finals { id: a(), run: 1, finals: 2 }]);
    let retry = planted(|h| h.retries.push((a(), 2)));
    assert_eq!(retry, [Violation::RetryLost { id: a(), run: 2 }]);
}

#[test]
fn an_overlap_is_found() {
    let fence = |n: u32| format!("a/1/{n}/{n}");
    let overlap = planted(|h| {
        rewrite(h, "a", |looks| looks[2].reason = StateReason::HandlerError);
        h.effects.insert(2, line("a", 1, 1, false));
    });
    assert_eq!(overlap, [Violation::Overlap { first: fence(1), second: fence(2) }]);
    let silent = planted(|h| {
        h.effects.insert(0, line("b", 1, 1, true));
        h.cancels.clear();
        rewrite(h, "b", |looks| {
            looks.insert(1, look(2, JobState::Running, 1));
            looks[2].version = 3;
        });
        h.got.get_mut("b").unwrap().version = 3;
        h.listed[1].1.version = 3;
    });
    assert_eq!(silent, [Violation::Abandoned { fence: "b/1/1/1".to_owned() }]);
}

#[test]
fn a_start_after_the_cancel_is_found() {
    let begins = |h: &mut History, epoch| {
        h.effects.push(line("b", 1, epoch, true));
        h.effects.push(line("b", 1, epoch, false));
    };
    // Given and lost before the cancel of the waiting job, and begun late.
    let lease_before = |h: &mut History| {
        rewrite(h, "b", |looks| {
            looks.insert(1, look(2, JobState::Running, 1));
            looks.insert(2, lost(3, 1));
            looks[3].version = 4;
        });
        h.got.get_mut("b").unwrap().version = 4;
        h.listed[1].1.version = 4;
        h.cancels[0].version = 4;
    };
    let unaware = planted(|h| {
        lease_before(h);
        begins(h, 1);
    });
    assert_eq!(unaware, []);
    let late = planted(|h| {
        lease_before(h);
        h.cancels[0].version = 1;
        begins(h, 1);
    });
    assert_eq!(late, [Violation::StartAfterCancel { fence: "b/1/1/1".to_owned() }]);
}

#[test]
fn a_watch_that_is_not_whole_is_found() {
    let hole = planted(|h| {
        h.watches[1].remove(2);
    });
    assert_eq!(hole, [Violation::Versions { id: a(), watch: 1 }]);
    let no_end = planted(|h| {
        h.watches[0].pop();
    });
    assert_eq!(no_end, [Violation::Versions { id: "b".to_owned(), watch: 0 }]);
    let back = planted(|h| {
        let early = h.watches[1][1].clone();
        h.watches[1].insert(4, early);
    });
    assert_eq!(back, [Violation::Versions { id: a(), watch: 1 }]);
    let again = planted(|h| {
        let last = h.watches[1][3].clone();
        h.watches[1].insert(4, last);
    });
    assert_eq!(again, []);
}

#[test]
fn a_declared_gap_needs_a_snapshot_and_explains_a_jump() {
    let snapshot = || {
        let lost = Look { result: String::new(), ..lost(3, 1) };
        Seen::Snapshot(vec![(a(), lost)])
    };
    let declared = planted(|h| {
        h.watches[1].splice(2..4, [Seen::Gap, snapshot()]);
    });
    assert_eq!(declared, []);
    let bare = planted(|h| {
        h.watches[1].splice(2..4, [Seen::Gap]);
    });
    assert_eq!(bare, [Violation::GapWithoutSnapshot { watch: 1 }]);
    let undeclared = planted(|h| {
        h.watches[1].splice(2..4, [snapshot()]);
    });
    assert_eq!(undeclared, [Violation::UndeclaredSnapshot { watch: 1 }]);
    // A gap explains no hole that comes later.
    let later = planted(|h| {
        h.watches[1].splice(2..4, [Seen::Gap, snapshot()]);
        h.watches[1].remove(4);
    });
    assert_eq!(later, [Violation::Versions { id: a(), watch: 1 }]);
}

#[test]
fn watches_that_tell_different_tales_are_found() {
    let tales = planted(|h| h.watches[1][3] = Seen::Change(a(), look(3, JobState::Ready, 1)));
    assert_eq!(tales, [Violation::TwoTales { id: a(), version: 3 }]);
    let other_end = planted(|h| {
        rewrite(h, "b", |looks| looks[1].reason = StateReason::Replaced);
    });
    assert_eq!(other_end, [Violation::Disagreement { id: "b".to_owned() }]);
}

#[test]
fn the_effect_of_a_stale_lease_is_found() {
    let stale = planted(|h| {
        let of_first = |look: &mut Look| look.result = "a/1/1/1".to_owned();
        rewrite(h, "a", |looks| of_first(&mut looks[4]));
        of_first(h.got.get_mut("a").unwrap());
        h.effects.push(line("a", 1, 1, false));
    });
    assert_eq!(stale, [Violation::StaleResult { id: a(), version: 5 }]);
}

#[test]
fn what_stays_unwell_is_found() {
    let what = "the watch is silent".to_owned();
    let unwell = planted(|h| h.ailments.push(what.clone()));
    assert_eq!(unwell, [Violation::Unwell { what }]);
}

#[test]
fn starts_that_no_lease_explains_are_found() {
    let twice = planted(|h| h.effects.insert(1, line("a", 1, 1, true)));
    assert_eq!(twice, [Violation::DoubleStart { fence: "a/1/1/1".to_owned() }]);
    let unleased = planted(|h| {
        h.effects.insert(1, line("a", 1, 7, true));
    });
    assert_eq!(unleased, [Violation::StartWithoutLease { fence: "a/1/2/2".to_owned() }]);
}

#[test]
fn a_success_without_its_end_is_found() {
    let unfinished = planted(|h| {
        h.effects.pop();
        h.effects.pop();
    });
    assert_eq!(unfinished, [Violation::NoEnd { id: a() }]);
}

#[test]
fn lines_of_handlers_are_read() {
    let effect = Effect::parse("a/1/2/3\tw1\tend").unwrap();
    assert_eq!(effect.fence(), "a/1/2/3");
    assert!(!effect.is_start);
    assert_eq!(Effect::parse("a/1/2\tw1\tend"), None);
    assert_eq!(Effect::parse("a/1/2/3\tw1\tmiddle"), None);
}
