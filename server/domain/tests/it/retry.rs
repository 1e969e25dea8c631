//! The backoff of retries, and the start order of ready jobs.

use proptest::prelude::*;
use sentinel_domain::{Backoff, Jitter, Queue, QueueOrder, RetryPolicy, limits, ready_score};

use crate::property::runner;

fn policy(backoff: Backoff, jitter: Jitter) -> RetryPolicy {
    RetryPolicy { max_attempts: 9, backoff, base_ms: 100, cap_ms: 450, jitter }
}

#[test]
fn the_backoff_grows_to_its_cap() {
    let delays =
        |backoff| [1, 2, 3, 4, 1_000].map(|n| policy(backoff, Jitter::None).backoff_ms(n, 0));
    assert_eq!(delays(Backoff::Exponential), [100, 200, 400, 450, 450]);
    assert_eq!(delays(Backoff::Fixed), [100; 5]);
}

#[test]
fn full_jitter_reaches_both_ends() {
    for base_ms in [1, 2, 1_000, limits::RETRY_CAP_MAX_MS] {
        let policy =
            RetryPolicy { base_ms, cap_ms: base_ms, ..policy(Backoff::Fixed, Jitter::Full) };
        assert_eq!(policy.backoff_ms(1, 0), 0);
        assert_eq!(policy.backoff_ms(1, u32::MAX), base_ms);
        let middle = policy.backoff_ms(1, u32::MAX / 2 + 1);
        assert!(middle.abs_diff(base_ms / 2) <= 1, "{middle} of {base_ms}");
    }
}

#[test]
fn the_backoff_never_exceeds_its_cap() {
    let numbers = (any::<u64>(), any::<u64>(), any::<u32>(), any::<u32>(), any::<[bool; 2]>());
    runner(1_000)
        .run(&numbers, |(base_ms, cap_ms, attempt, entropy, [fixed, full])| {
            let backoff = if fixed { Backoff::Fixed } else { Backoff::Exponential };
            let jitter = if full { Jitter::Full } else { Jitter::None };
            let policy = RetryPolicy { max_attempts: 9, backoff, base_ms, cap_ms, jitter };
            prop_assert!(policy.backoff_ms(attempt, entropy) <= cap_ms);
            Ok(())
        })
        .expect("no backoff exceeds its cap");
}

fn queue(order: QueueOrder) -> Queue {
    Queue { order, ..Queue::with_defaults("mail".into(), 0) }
}

#[test]
fn with_aging_a_priority_level_equals_its_boost() {
    let queue = queue(QueueOrder::Aging);
    let boost_ms = queue.priority_boost_ms as i64;
    assert_eq!(ready_score(&queue, 3, 3 * boost_ms), ready_score(&queue, 0, 0));
    assert!(ready_score(&queue, 9, 0) < ready_score(&queue, 8, 0));
    assert!(ready_score(&queue, 0, 0) < ready_score(&queue, 9, 9 * boost_ms + 1));
}

#[test]
fn strict_levels_never_overlap_and_scores_fit_into_a_double() {
    let queue = queue(QueueOrder::Strict);
    let (first, last) = (0, limits::TIME_RANGE_MS.1 / 10);
    for level in 1..=9 {
        assert!(ready_score(&queue, level, last) < ready_score(&queue, level - 1, first));
        assert!(ready_score(&queue, level, first) < ready_score(&queue, level, first + 1));
    }
    assert!(ready_score(&queue, 0, last) < 1 << 53);
}

#[test]
fn extreme_times_do_not_overflow_a_score() {
    for order in [QueueOrder::Aging, QueueOrder::Strict] {
        for ready_at in [i64::MIN, 0, i64::MAX] {
            for priority in [0, 9, u8::MAX] {
                let mut queue = queue(order);
                queue.priority_boost_ms = u64::MAX;
                ready_score(&queue, priority, ready_at);
            }
        }
    }
}
