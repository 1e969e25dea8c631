//! The deadline of a call, from its header `grpc-timeout`.

use std::future::Future;
use std::time::Duration;

use http::HeaderMap;
use tokio::time::Instant;

/// The deadline of one call. A call without a valid header has none.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deadline(Option<Instant>);

impl Deadline {
    /// Returns the deadline of a call that starts now.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let timeout = headers.get("grpc-timeout").and_then(|value| parse(value.to_str().ok()?));
        Self(timeout.and_then(|timeout| Instant::now().checked_add(timeout)))
    }

    /// Runs a future until the deadline. Returns `None` when the deadline passed.
    pub(super) async fn limit<F: Future>(self, future: F) -> Option<F::Output> {
        match self.0 {
            Some(deadline) => tokio::time::timeout_at(deadline, future).await.ok(),
            None => Some(future.await),
        }
    }

    pub(super) fn is_over(self) -> bool {
        self.0.is_some_and(|deadline| Instant::now() >= deadline)
    }
}

/// Parses at most 8 digits and a unit, such as `500m` for 500 ms.
fn parse(text: &str) -> Option<Duration> {
    let unit = text.chars().next_back()?;
    let digits = text.strip_suffix(unit)?;
    if digits.len() > 8 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let amount: u64 = digits.parse().ok()?;
    match unit {
        'H' => Some(Duration::from_secs(amount * 3_600)),
        'M' => Some(Duration::from_secs(amount * 60)),
        'S' => Some(Duration::from_secs(amount)),
        'm' => Some(Duration::from_millis(amount)),
        'u' => Some(Duration::from_micros(amount)),
        'n' => Some(Duration::from_nanos(amount)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeout_has_at_most_eight_digits_and_a_unit() {
        let valid = [("1H", 3_600_000), ("2M", 120_000), ("3S", 3_000), ("99999999m", 99_999_999)];
        for (text, ms) in valid {
            assert_eq!(parse(text), Some(Duration::from_millis(ms)), "{text}");
        }
        assert_eq!(parse("1500u"), Some(Duration::from_micros(1_500)));
        assert_eq!(parse("7n"), Some(Duration::from_nanos(7)));
        for text in ["", "S", "1", "1s", "-1S", "+1S", "1.5S", "123456789m", "1S ", "1\u{e9}"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
