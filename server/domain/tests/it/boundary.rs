//! Both sides of each limit of a new job and of a queue: a value equal to the limit is accepted,
//! the next one is refused with its field and the allowed range.

use proptest::prelude::*;
use sentinel_domain::limits as l;
use sentinel_domain::{
    FieldViolation, JobId, Millis, NewJob, Queue, RetryPolicy, Spec, UniqueMode, initial_state,
    ready_score,
};

use crate::fixture::{T0, new_job};
use crate::property::runner;

const PAYLOAD_MAX_BYTES: u64 = 64;

fn into_spec(edit: impl FnOnce(&mut NewJob)) -> Result<Spec, Vec<FieldViolation>> {
    let mut new = new_job();
    edit(&mut new);
    new.into_spec("specs[3]", "tests", T0, PAYLOAD_MAX_BYTES)
}

fn text(len: u64) -> String {
    "x".repeat(len as usize)
}

fn ids(count: u64) -> Vec<String> {
    (0..count).map(|n| JobId::from_u128(u128::from(n)).to_string()).collect()
}

/// Checks a field: every value of `good` is accepted, and every value of `bad` is refused with a
/// violation of this field that contains `range`.
fn check<T: Clone + std::fmt::Debug>(
    (field, range): (&str, &str),
    set: impl Fn(&mut NewJob, T),
    good: &[T],
    bad: &[T],
) {
    for value in good {
        let result = into_spec(|new| set(new, value.clone()));
        assert!(result.is_ok(), "{field}: {value:.40?} gives {result:?}");
    }
    for value in bad {
        let found = into_spec(|new| set(new, value.clone())).expect_err("beyond the limit");
        let path = format!("specs[3].{field}");
        assert!(found.iter().all(|v| v.field == path), "{path}: {value:.40?} gives {found:?}");
        let has_range = found.iter().any(|v| v.description.contains(range));
        assert!(has_range, "{path}: {found:?} does not contain {range}");
    }
}

#[test]
fn limits_of_names_and_strings() {
    let names = [text(1), text(128), "aZ09._-".into()];
    let not_names = [text(0), text(129), "a b".into(), "ä".into(), "a\0".into(), "a/b".into()];
    let range = "1 to 128 characters of [A-Za-z0-9._-]";
    check(("queue", range), |new, v| new.queue = v, &names, &not_names);
    check(("kind", range), |new, v| new.kind = v, &names, &not_names);
    let at_most = |max: u64| format!("at most {max} bytes");
    let payload = |new: &mut NewJob, len: u64| new.payload = text(len).into();
    check(("payload", &at_most(PAYLOAD_MAX_BYTES)), payload, &[0, 64], &[65]);
    let content_type = |new: &mut NewJob, len| new.content_type = text(len);
    check(("content_type", &at_most(128)), content_type, &[0, 128], &[129]);
    check(
        ("traceparent", &at_most(256)),
        |new, len| new.traceparent = text(len),
        &[0, 256],
        &[257],
    );
}

#[test]
fn limits_of_numbers() {
    check(("priority", "0..=9"), |new, v| new.priority = v, &[0, 9], &[10, u32::MAX]);
    let attempts = |new: &mut NewJob, v| new.max_attempts = v;
    check(("retry.max_attempts", "1..=1000"), attempts, &[0, 1, 1_000], &[1_001, u32::MAX]);
}

/// Checks both ends of the range of a duration.
fn duration(field: &str, (min, max): (u64, u64), set: impl Fn(&mut NewJob, i64)) {
    let (low, high) = (min as i64, max as i64);
    let range = format!("{min}..={max} ms");
    check((field, &range), set, &[low, high], &[low - 1, high + 1, i64::MIN, i64::MAX]);
}

#[test]
fn limits_of_durations() {
    duration("delay", (0, l::DELAY_MAX_MS), |new, v| new.delay_ms = Some(v));
    duration("run_timeout", (1, l::RUN_TIMEOUT_MAX_MS), |new, v| new.run_timeout_ms = Some(v));
    duration("cancel_grace", (0, l::CANCEL_GRACE_MAX_MS), |new, v| new.cancel_grace_ms = Some(v));
    duration("retry.base", (1, l::RETRY_BASE_MAX_MS), |new, v| {
        (new.retry_base_ms, new.retry_cap_ms) = (Some(v), None);
    });
    duration("retry.cap", (100, l::RETRY_CAP_MAX_MS), |new, v| {
        (new.retry_base_ms, new.retry_cap_ms) = (Some(100), Some(v));
    });
    duration("unique.ttl", (l::UNIQUE_TTL_MIN_MS, l::UNIQUE_TTL_MAX_MS), |new, v| {
        (new.unique_key, new.unique_ttl_ms) = (Some("k".into()), Some(v));
    });
}

#[test]
fn limits_of_times() {
    let (first, last) = l::TIME_RANGE_MS;
    let furthest = T0 + l::DELAY_MAX_MS as i64;
    let run_at = |new: &mut NewJob, at| new.run_at = Some(at);
    check(("run_at", "366 days"), run_at, &[first, 0, T0, furthest], &[furthest + 1, i64::MAX]);
    check(("run_at", "0001-01-01"), run_at, &[first], &[first - 1, i64::MIN]);
    let deadline = |new: &mut NewJob, at| new.start_deadline = Some(at);
    check(("start_deadline", "after now"), deadline, &[T0 + 1, last], &[T0, 0, i64::MIN]);
    check(("start_deadline", "9999-12-31"), deadline, &[last], &[last + 1, i64::MAX]);
    let of_a_later_job = |new: &mut NewJob, at| {
        (new.run_at, new.start_deadline) = (Some(T0 + 50), Some(at));
    };
    check(("start_deadline", "after run_at"), of_a_later_job, &[T0 + 51], &[T0 + 50, T0 + 1]);
    let both = |new: &mut NewJob, at| (new.run_at, new.delay_ms) = (Some(at), Some(1));
    check(("delay", "one of them"), both, &[], &[T0]);
}

#[test]
fn a_run_at_in_the_past_is_now() {
    let spec =
        into_spec(|new| new.run_at = Some(T0 - 5_000)).expect("a time in the past is accepted");
    assert_eq!(spec.run_at, T0);
}

#[test]
fn limits_of_labels_and_dependencies() {
    let label = |new: &mut NewJob, value| new.labels = vec![("team".into(), value)];
    check(("labels[\"team\"]", "at most 256 bytes"), label, &[text(0), text(256)], &[text(257)]);
    let key = |new: &mut NewJob, key: String| new.labels = vec![(key, "v".into())];
    check(("labels[\"a b\"]", "[A-Za-z0-9._-]"), key, &[text(128)], &["a b".into()]);
    let count = |new: &mut NewJob, n| {
        new.labels = (0..n).map(|at| (format!("k{at}"), String::new())).collect();
    };
    check(("labels", "at most 16"), count, &[0, l::LABELS], &[l::LABELS + 1, 100_000]);
    let parents = |new: &mut NewJob, n| new.depends_on = ids(n);
    let max = l::DEPENDENCIES;
    check(("depends_on", "at most 100"), parents, &[0, max], &[max + 1, 100_000]);
    let parent = |new: &mut NewJob, id: &str| new.depends_on = vec![id.into()];
    check(("depends_on[0]", "UUID"), parent, &[], &["", "x", "0190"]);
}

#[test]
fn limits_of_unique_keys() {
    let key = |new: &mut NewJob, key| new.unique_key = Some(key);
    check(("unique.key", "256 bytes"), key, &[text(1), text(256)], &[text(0), text(257)]);
    let debounce = |new: &mut NewJob, delay_ms| {
        (new.unique_key, new.unique_mode) = (Some("k".into()), Some(UniqueMode::Debounce));
        new.delay_ms = delay_ms;
    };
    check(("unique.mode", "run_at or delay"), debounce, &[Some(0)], &[None]);
}

#[test]
fn a_violation_of_a_long_label_key_is_short() {
    let found = into_spec(|new| new.labels = vec![("é".repeat(1 << 20), String::new())]);
    let found = found.expect_err("the key is too long");
    assert!(found[0].to_string().len() < 200, "{}", found[0].to_string().len());
}

#[test]
fn all_violations_are_returned_at_once() {
    let found = into_spec(|new| {
        (new.queue, new.priority) = (String::new(), 10);
        (new.retry_base_ms, new.delay_ms) = (Some(0), Some(-1));
    });
    let fields: Vec<String> =
        found.expect_err("four invalid fields").into_iter().map(|v| v.field).collect();
    let expected = ["queue", "priority", "delay", "retry.base"].map(|f| format!("specs[3].{f}"));
    assert_eq!(fields, expected);
}

#[test]
fn unset_fields_get_defaults() {
    let new = NewJob { queue: "q".into(), kind: "k".into(), ..NewJob::default() };
    let spec = new.into_spec("spec", "", T0, 0).expect("only queue and kind are required");
    assert_eq!((spec.retry, spec.priority, spec.run_at), (RetryPolicy::default(), 0, T0));
    assert_eq!((&*spec.content_type, spec.cancel_grace_ms), ("application/json", 30_000));
    assert_eq!(
        (spec.retry.max_attempts, spec.retry.base_ms, spec.retry.cap_ms),
        (3, 1_000, 600_000)
    );
    let long = NewJob { queue: "q".into(), kind: "k".into(), ..NewJob::default() };
    let long = NewJob { retry_base_ms: Some(l::RETRY_BASE_MAX_MS as i64), ..long };
    let spec = long.into_spec("spec", "", T0, 0).expect("the cap rises with the base");
    assert_eq!(spec.retry.cap_ms, l::RETRY_BASE_MAX_MS);
}

#[test]
fn limits_of_queues() {
    let found = |edit: fn(&mut Queue)| {
        let mut queue = Queue::with_defaults("mail".into(), T0);
        edit(&mut queue);
        queue.violations()
    };
    let good: [fn(&mut Queue); 4] = [
        |q| q.name = text(128).into(),
        |q| q.priority_boost_ms = 1,
        |q| q.priority_boost_ms = l::PRIORITY_BOOST_MAX_MS,
        |q| q.description = text(1_024).into(),
    ];
    good.iter().for_each(|edit| assert_eq!(found(*edit), []));
    let refused = |field: &str, range: &str, edit: fn(&mut Queue)| {
        let found = found(edit);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].field == field && found[0].description.contains(range), "{found:?}");
    };
    refused("queue.name", "1 to 128", |q| q.name = "".into());
    refused("queue.name", "1 to 128", |q| q.name = text(129).into());
    let boost = "1..=86400000 ms";
    refused("queue.priority_boost", boost, |q| q.priority_boost_ms = 0);
    refused("queue.priority_boost", boost, |q| q.priority_boost_ms = l::PRIORITY_BOOST_MAX_MS + 1);
    refused("queue.description", "at most 1024 bytes", |q| q.description = text(1_025).into());
}

#[test]
fn any_numbers_are_refused_or_give_a_valid_job() {
    let some = || proptest::option::of(prop_oneof![any::<i64>(), -9..9_i64, Just(i64::MIN)]);
    let times = (some(), some(), some());
    let durations = (some(), some(), some(), some(), some());
    let all = (times, durations, any::<u32>(), any::<u32>());
    runner(2_000)
        .run(&all, |((run_at, delay_ms, deadline), durations, priority, attempts)| {
            let (timeout, base, cap, ttl, grace) = durations;
            let result = into_spec(|new| {
                (new.run_at, new.delay_ms, new.start_deadline) = (run_at, delay_ms, deadline);
                (new.run_timeout_ms, new.cancel_grace_ms) = (timeout, grace);
                (new.retry_base_ms, new.retry_cap_ms) = (base, cap);
                (new.unique_key, new.unique_ttl_ms) = (Some("k".into()), ttl);
                (new.priority, new.max_attempts) = (priority % 12, attempts % 1_200);
            });
            match result {
                Err(found) => prop_assert!(!found.is_empty()),
                Ok(spec) => {
                    let queue = Queue::with_defaults("mail".into(), T0);
                    let job = initial_state(JobId::from_u128(1), spec.into(), &[], T0);
                    let latest: Millis = T0 + l::DELAY_MAX_MS as i64;
                    prop_assert!((T0..=latest).contains(&job.status.ready_at));
                    ready_score(&queue, job.spec.priority, job.status.ready_at);
                    crate::deadline::check(&job);
                }
            }
            Ok(())
        })
        .expect("all inputs are refused or valid");
}
