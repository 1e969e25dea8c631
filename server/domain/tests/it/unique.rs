//! Unique keys: their holders, and the resolution of conflicts.

use sentinel_domain::{
    Command, Job, JobId, NewJob, Reason, State, UniqueConflictAction, UniqueKey, UniqueMode,
    UniqueScope, held_key, initial_state, on_unique_conflict, unique_key,
};

use crate::fixture::{
    ALICE, PARENTS, T0, cancel, enqueue, fail, lease, new_job, start, step, succeed,
};

fn keyed(edit: impl FnOnce(&mut NewJob)) -> Job {
    let mut new = NewJob { unique_key: Some("order-7".into()), max_attempts: 1, ..new_job() };
    edit(&mut new);
    enqueue(new)
}

/// Returns a holder in every state, and a replaced one.
fn holders(ttl_ms: Option<i64>) -> Vec<(&'static str, Job)> {
    let ttl = |new: &mut NewJob| new.unique_ttl_ms = ttl_ms;
    let ready = keyed(ttl);
    let running = start(&ready, ALICE, T0);
    let scheduled = keyed(|new| {
        ttl(new);
        new.delay_ms = Some(5_000);
    });
    let blocked = keyed(|new| {
        ttl(new);
        new.depends_on = vec![PARENTS[0].to_string()];
    });
    let late = keyed(|new| {
        ttl(new);
        new.start_deadline = Some(T0 + 1);
    });
    vec![
        ("SCHEDULED", scheduled),
        ("BLOCKED", blocked),
        ("READY", ready.clone()),
        ("RUNNING", running.clone()),
        ("SUCCEEDED", step(&running, &succeed(lease(&running)), T0)),
        ("FAILED", step(&running, &fail(lease(&running)), T0)),
        ("CANCELLED", step(&ready, &cancel(), T0)),
        ("EXPIRED", step(&late, &Command::Expire, T0 + 1)),
        ("CANCELLED, replaced", step(&ready, &Command::Replace, T0)),
    ]
}

fn describe(action: UniqueConflictAction) -> &'static str {
    match action {
        UniqueConflictAction::ReturnExisting => "returns the holder",
        UniqueConflictAction::Reject => "ALREADY_EXISTS",
        UniqueConflictAction::Replace { due: Some(_) } => {
            "replaces the holder, inherits its due time"
        }
        UniqueConflictAction::Replace { due: None } => {
            "replaces the holder, keeps its own due time"
        }
    }
}

/// Returns the rows of the documentation: each holder, with the action per mode.
pub(crate) fn table() -> Vec<(String, Vec<&'static str>)> {
    let until = T0 + 60_000;
    let mut rows = Vec::new();
    for ((name, free), (_, timed)) in holders(None).into_iter().zip(holders(Some(60_000))) {
        let actions = |job: &Job| {
            UniqueMode::ALL.map(|mode| describe(on_unique_conflict(mode, job))).to_vec()
        };
        let row = match (held_key(&free), held_key(&timed)) {
            (Some((_, None)), Some((_, Some(at)))) if at == until => {
                (name.to_owned(), actions(&free))
            }
            (None, Some((_, Some(at)))) if at == until => {
                (format!("{name}, within its ttl"), actions(&timed))
            }
            (None, None) => (format!("{name}: holds no key"), vec!["enqueues"; 4]),
            other => panic!("{name} holds {other:?}"),
        };
        rows.push(row);
    }
    rows
}

#[test]
fn a_key_is_held_until_a_terminal_state_or_for_its_ttl() {
    for (name, job) in holders(None) {
        let expected = (!job.status.state.is_terminal()).then_some(None);
        assert_eq!(held_key(&job).map(|(_, until)| until), expected, "{name}");
    }
    for (name, job) in holders(Some(60_000)) {
        let expected = (!matches!(job.status.reason, Reason::Replaced | Reason::Deleted))
            .then_some(Some(T0 + 60_000));
        assert_eq!(held_key(&job).map(|(_, until)| until), expected, "{name}");
    }
    assert_eq!(held_key(&enqueue(new_job())), None);
}

#[test]
fn only_a_waiting_holder_is_replaced() {
    for (name, job) in holders(Some(60_000)) {
        let state = job.status.state;
        for mode in UniqueMode::ALL {
            let expected = match mode {
                UniqueMode::Reject => UniqueConflictAction::Reject,
                UniqueMode::ReplacePending if matches!(state, State::Scheduled | State::Ready) => {
                    UniqueConflictAction::Replace { due: Some(job.status.ready_at) }
                }
                UniqueMode::ReplacePending | UniqueMode::Debounce if state.is_waiting() => {
                    UniqueConflictAction::Replace { due: None }
                }
                _ => UniqueConflictAction::ReturnExisting,
            };
            assert_eq!(on_unique_conflict(mode, &job), expected, "{name} under {mode:?}");
            let replaced = sentinel_domain::decide(&job, &Command::Replace, T0 + 2);
            assert_eq!(replaced.is_ok(), state.is_waiting(), "{name}");
        }
    }
}

#[test]
fn a_replacement_inherits_the_place_in_the_queue() {
    let holder = keyed(|_| ());
    let UniqueConflictAction::Replace { due: Some(due) } =
        on_unique_conflict(UniqueMode::ReplacePending, &holder)
    else {
        panic!("the due time of a ready holder is inherited")
    };
    let later = T0 + 60_000;
    let mut spec = new_job().into_spec("spec", "", later, 0).expect("a valid job");
    spec.run_at = due;
    let job = initial_state(JobId::from_u128(2), spec.into(), &[], later);
    assert_eq!((job.status.state, job.status.ready_at), (State::Ready, T0));
}

#[test]
fn a_retry_makes_a_replaced_job_a_holder_again() {
    let job = step(&step(&keyed(|_| ()), &Command::Replace, T0), &Command::Retry, T0 + 1);
    assert_eq!(held_key(&job).map(|(_, until)| until), Some(None));
}

fn key_of(queue: &str, kind: &str, key: &str, scope: UniqueScope) -> UniqueKey {
    let job = keyed(|new| {
        new.queue = queue.into();
        new.kind = kind.into();
        new.unique_key = Some(key.into());
        new.unique_scope = Some(scope);
    });
    unique_key(&job.spec).expect("the job has a key")
}

#[test]
fn a_key_is_unique_within_its_scope() {
    use UniqueScope::{Kind, Queue};
    assert_eq!(key_of("q", "a", "k", Queue), key_of("q", "b", "k", Queue));
    let all = [
        key_of("q", "a", "k", Kind),
        key_of("q", "b", "k", Kind),
        key_of("q", "a", "k", Queue),
        key_of("qa", "a", "k", Queue),
        key_of("q", "ak", "k", Kind),
        key_of("q", "a", "k\0k", Kind),
        key_of("q", "a", "a\0k", Queue),
        key_of("r", "a", "k", Kind),
    ];
    for (at, key) in all.iter().enumerate() {
        assert!(!all[..at].contains(key), "{key:?}");
        assert_eq!(*key, UniqueKey::from_bytes(key.as_bytes()));
    }
}
