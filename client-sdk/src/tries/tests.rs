//! Pauses, deadlines and the budget, with time as an argument.

use tonic::Code;

use super::*;

fn unavailable(retry_after: Option<Duration>) -> Error {
    Error::Api {
        code: Code::Unavailable,
        reason: String::new(),
        message: String::new(),
        field_violations: Vec::new(),
        retry_after,
    }
}

fn refusal() -> Error {
    Error::Api {
        code: Code::ResourceExhausted,
        reason: String::new(),
        message: String::new(),
        field_violations: Vec::new(),
        retry_after: Some(Duration::from_secs(1)),
    }
}

const MINUTE: Duration = Duration::from_secs(60);

#[test]
fn pauses_grow_and_end() {
    let (budget, now) = (Budget::default(), Instant::now());
    let mut tries = Tries::new(&budget, now, MINUTE);
    let pauses: Vec<_> = (0..4).map(|_| tries.failed(&unavailable(None), now, 1.0)).collect();
    assert_eq!(pauses[..3], [100, 200, 400].map(|ms| Some(Duration::from_millis(ms))));
    assert_eq!(pauses[3], None);
}

#[test]
fn only_what_is_unavailable_is_repeated_and_after_the_pause_it_asks_for() {
    let (budget, now) = (Budget::default(), Instant::now());
    let mut tries = Tries::new(&budget, now, MINUTE);
    assert_eq!(tries.failed(&refusal(), now, 1.0), None);
    let asked = Duration::from_secs(3);
    let mut tries = Tries::new(&budget, now, MINUTE);
    assert_eq!(tries.failed(&unavailable(Some(asked)), now, 0.0), Some(asked));
    assert_eq!(tries.failed(&Error::Timeout, now, 0.0), None);
}

#[test]
fn a_deadline_may_be_without_end() {
    let (budget, now) = (Budget::default(), Instant::now());
    let mut tries = Tries::new(&budget, now, Duration::MAX);
    assert!(tries.failed(&unavailable(None), now + 1_000 * MINUTE, 1.0).is_some());
}

#[test]
fn nothing_begins_after_the_deadline() {
    let (budget, now) = (Budget::default(), Instant::now());
    let mut tries = Tries::new(&budget, now, Duration::from_millis(150));
    assert_eq!(tries.left(now), Duration::from_millis(150));
    assert!(tries.failed(&unavailable(None), now, 1.0).is_some());
    let later = now + Duration::from_millis(100);
    assert_eq!(tries.left(later), Duration::from_millis(50));
    assert_eq!(tries.failed(&unavailable(None), later, 1.0), None);
    assert_eq!(tries.left(now + MINUTE), Duration::ZERO);
}

#[test]
fn a_budget_that_is_used_up_comes_back_with_answers() {
    let (budget, now) = (Budget::default(), Instant::now());
    let repeats = |budget: &Budget| {
        Tries::new(budget, now, MINUTE).failed(&unavailable(None), now, 0.5).is_some()
    };
    // Clones share it.
    let other = budget.clone();
    let allowed = (0..200).filter(|_| repeats(&other)).count();
    assert_eq!(allowed, 49);
    assert!(!repeats(&budget));
    let tries = Tries::new(&budget, now, MINUTE);
    let answers = (1..).find(|_| {
        tries.answered();
        let left =
            Budget { tenths: Arc::new(AtomicU32::new(budget.tenths.load(Ordering::Relaxed))) };
        repeats(&left)
    });
    assert_eq!(answers, Some(511));
    (0..2 * BUDGET_MAX).for_each(|_| tries.answered());
    assert_eq!(budget.tenths.load(Ordering::Relaxed), BUDGET_MAX);
}
