//! The one place where tests let time pass: until a condition holds, within a limit, or
//! while a fault lasts.

use std::future::Future;
use std::time::{Duration, Instant};

const EVERY: Duration = Duration::from_millis(10);

/// Probes until there is an answer; panics with `what` when the limit has passed.
pub(crate) async fn until<T, F, A>(what: &str, limit: Duration, probe_once: F) -> T
where
    F: FnMut() -> A,
    A: Future<Output = Option<T>>,
{
    let answer = probe(limit, probe_once).await;
    answer.unwrap_or_else(|| panic!("not within {limit:?}: {what}"))
}

/// Probes until there is an answer, at least once; none when the limit has passed.
pub(crate) async fn probe<T, F, A>(limit: Duration, mut probe_once: F) -> Option<T>
where
    F: FnMut() -> A,
    A: Future<Output = Option<T>>,
{
    let start = Instant::now();
    loop {
        let answer = probe_once().await;
        if answer.is_some() || start.elapsed() >= limit {
            return answer;
        }
        tokio::time::sleep(EVERY).await;
    }
}

/// The length of a fault: what it breaks needs this long to break, whatever the state.
pub(crate) async fn pass(length: Duration) {
    tokio::time::sleep(length).await;
}
