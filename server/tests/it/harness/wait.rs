//! The one place where tests let time pass: until a condition holds, within a limit.

use std::future::Future;
use std::time::{Duration, Instant};

const EVERY: Duration = Duration::from_millis(10);

/// Probes until there is an answer; panics with `what` when the limit has passed.
pub async fn until<T, F, A>(what: &str, limit: Duration, mut probe: F) -> T
where
    F: FnMut() -> A,
    A: Future<Output = Option<T>>,
{
    let start = Instant::now();
    loop {
        if let Some(answer) = probe().await {
            return answer;
        }
        assert!(start.elapsed() < limit, "not within {limit:?}: {what}");
        tokio::time::sleep(EVERY).await;
    }
}
