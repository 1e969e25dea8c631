//! Delays, deadlines and the throttle, with a simulated clock.

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

fn resource_exhausted() -> Error {
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
fn delays_double_until_the_last_rpc_attempt() {
    let (throttle, now) = (RetryThrottle::default(), Instant::now());
    let mut retry = CallRetry::new(&throttle, now, MINUTE);
    let delays: Vec<_> = (0..4).map(|_| retry.next_delay(&unavailable(None), now, 1.0)).collect();
    assert_eq!(delays[..3], [100, 200, 400].map(|ms| Some(Duration::from_millis(ms))));
    assert_eq!(delays[3], None);
}

#[test]
fn only_unavailable_is_retried_and_retry_after_is_honoured() {
    let (throttle, now) = (RetryThrottle::default(), Instant::now());
    let mut retry = CallRetry::new(&throttle, now, MINUTE);
    assert_eq!(retry.next_delay(&resource_exhausted(), now, 1.0), None);
    let retry_after = Duration::from_secs(3);
    let mut retry = CallRetry::new(&throttle, now, MINUTE);
    assert_eq!(retry.next_delay(&unavailable(Some(retry_after)), now, 0.0), Some(retry_after));
    assert_eq!(retry.next_delay(&Error::Timeout, now, 0.0), None);
}

#[test]
fn an_unlimited_timeout_does_not_overflow() {
    let (throttle, now) = (RetryThrottle::default(), Instant::now());
    let mut retry = CallRetry::new(&throttle, now, Duration::MAX);
    assert!(retry.next_delay(&unavailable(None), now + 1_000 * MINUTE, 1.0).is_some());
}

#[test]
fn no_retry_starts_after_the_deadline() {
    let (throttle, now) = (RetryThrottle::default(), Instant::now());
    let mut retry = CallRetry::new(&throttle, now, Duration::from_millis(150));
    assert_eq!(retry.remaining(now), Duration::from_millis(150));
    assert!(retry.next_delay(&unavailable(None), now, 1.0).is_some());
    let later = now + Duration::from_millis(100);
    assert_eq!(retry.remaining(later), Duration::from_millis(50));
    assert_eq!(retry.next_delay(&unavailable(None), later, 1.0), None);
    assert_eq!(retry.remaining(now + MINUTE), Duration::ZERO);
}

#[test]
fn responses_refill_an_exhausted_throttle() {
    let (throttle, now) = (RetryThrottle::default(), Instant::now());
    let is_retried = |throttle: &RetryThrottle| {
        CallRetry::new(throttle, now, MINUTE).next_delay(&unavailable(None), now, 0.5).is_some()
    };
    let clone = throttle.clone();
    let allowed = (0..200).filter(|_| is_retried(&clone)).count();
    assert_eq!(allowed, 49);
    assert!(!is_retried(&throttle), "clones share the tokens");
    let retry = CallRetry::new(&throttle, now, MINUTE);
    let responses = (1..).find(|_| {
        retry.succeeded();
        // A copy, so that the check costs no tokens.
        let tokens = throttle.tokens.load(Ordering::Relaxed);
        is_retried(&RetryThrottle { tokens: Arc::new(AtomicU32::new(tokens)) })
    });
    assert_eq!(responses, Some(511));
    (0..2 * MAX_TOKENS).for_each(|_| retry.succeeded());
    assert_eq!(throttle.tokens.load(Ordering::Relaxed), MAX_TOKENS);
}
