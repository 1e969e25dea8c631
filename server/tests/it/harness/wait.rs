//! The only functions in which these tests let time pass: waiting for a condition within a limit,
//! and keeping a fault in place.

use std::future::Future;
use std::time::{Duration, Instant};

const INTERVAL: Duration = Duration::from_millis(10);

/// Polls until `probe` returns a value; panics with `what` after the limit.
pub(crate) async fn wait_until<T, F, A>(what: &str, limit: Duration, probe: F) -> T
where
    F: FnMut() -> A,
    A: Future<Output = Option<T>>,
{
    let value = poll(limit, probe).await;
    value.unwrap_or_else(|| panic!("timed out after {limit:?}: {what}"))
}

/// Polls at least once until `probe` returns a value; returns `None` after the limit.
pub(crate) async fn poll<T, F, A>(limit: Duration, mut probe: F) -> Option<T>
where
    F: FnMut() -> A,
    A: Future<Output = Option<T>>,
{
    let start = Instant::now();
    loop {
        let value = probe().await;
        if value.is_some() || start.elapsed() >= limit {
            return value;
        }
        tokio::time::sleep(INTERVAL).await;
    }
}

/// Keeps a fault in place for its duration, which no observable state ends.
pub(crate) async fn let_fault_last(duration: Duration) {
    tokio::time::sleep(duration).await;
}
