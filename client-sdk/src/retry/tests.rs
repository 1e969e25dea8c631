//! Delays, deadlines and the budget, with a simulated clock.

use super::*;

fn api(code: Code, retry_after: Option<Duration>) -> Error {
    Error::Api {
        code,
        reason: String::new(),
        message: String::new(),
        field_violations: Vec::new(),
        retry_after,
    }
}

fn unavailable() -> Error {
    api(Code::Unavailable, None)
}

const MINUTE: Duration = Duration::from_secs(60);

/// Runs one call whose attempts fail at once; returns when it gave up.
fn gives_up_after(budget: &RetryBudget, deadline: Duration, jitter: fn() -> f64) -> Duration {
    let start = Instant::now();
    let mut retry = CallRetry::new(budget, start, deadline);
    let mut now = start;
    while let Some(delay) = retry.next_delay(&unavailable(), now, jitter()) {
        now += delay;
    }
    now - start
}

#[test]
fn delays_double_up_to_the_cap() {
    let (budget, now) = (RetryBudget::default(), Instant::now());
    let mut retry = CallRetry::new(&budget, now, MINUTE);
    let delays: Vec<_> = (0..7).map(|_| retry.next_delay(&unavailable(), now, 1.0)).collect();
    let expected = [100, 200, 400, 800, 1600, 2000, 2000];
    assert_eq!(delays, expected.map(|ms| Some(Duration::from_millis(ms))));
}

/// A call that is alone uses the time that it has, whatever its deadline.
#[test]
fn one_call_is_repeated_until_its_deadline() {
    for _ in 0..200 {
        let deadline = Duration::from_millis(rand::random_range(50..120_000));
        let ended = gives_up_after(&RetryBudget::default(), deadline, rand::random);
        assert!(ended <= deadline && deadline - ended <= MIN_REMAINING, "{ended:?} {deadline:?}");
    }
}

#[test]
fn a_requested_delay_is_honoured_and_other_errors_are_not_repeated() {
    let (budget, now) = (RetryBudget::default(), Instant::now());
    let told = Some(Duration::from_secs(3));
    let delay = |error: &Error| CallRetry::new(&budget, now, MINUTE).next_delay(error, now, 0.0);
    assert_eq!(delay(&api(Code::Unavailable, told)), told);
    assert_eq!(delay(&api(Code::ResourceExhausted, told)), told);
    assert_eq!(delay(&api(Code::Unavailable, Some(MINUTE))), None);
    assert_eq!(delay(&api(Code::ResourceExhausted, None)), None);
    assert_eq!(delay(&api(Code::NotFound, told)), None);
    assert_eq!(delay(&Error::Timeout), None);
    assert_eq!(delay(&Error::Tls { message: String::new() }), None);
    let lost = Error::Transport { message: String::new() };
    assert_eq!(delay(&lost), Some(Duration::ZERO));
}

#[test]
fn an_unlimited_timeout_does_not_overflow() {
    let (budget, now) = (RetryBudget::default(), Instant::now());
    let mut retry = CallRetry::new(&budget, now, Duration::MAX);
    assert!(retry.next_delay(&unavailable(), now + 1_000 * MINUTE, 1.0).is_some());
}

/// A storm is spread over time: all calls are repeated, at 200 per second after the burst.
#[test]
fn the_budget_spreads_a_storm_and_refuses_only_what_has_no_time() {
    let (budget, now) = (RetryBudget::default(), Instant::now());
    let storm = |deadline| {
        let clone = budget.clone();
        let retry =
            move |_| CallRetry::new(&clone, now, deadline).next_delay(&unavailable(), now, 0.0);
        (0..2_000).filter_map(retry).collect::<Vec<_>>()
    };
    let delays = storm(MINUTE);
    assert_eq!(delays.len(), 2_000);
    assert!(delays[..200].iter().all(Duration::is_zero));
    let last = delays.iter().max().copied().unwrap_or_default();
    assert!((8..=10).contains(&last.as_secs()), "{last:?}");
    assert_eq!(storm(Duration::from_secs(5)).len(), 0, "clones share the budget");
}
