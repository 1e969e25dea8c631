//! What every part of the engine runs on: time, randomness, tasks, settings and metrics.

mod clock;
mod observer;
mod rng;
mod settings;
mod tasks;

pub use clock::Clock;
pub use observer::{NoObserver, Observer};
pub use rng::Rng;
pub use settings::Settings;
pub use tasks::Tasks;

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks a mutex whose value is consistent after every statement, so that a panic of another
/// holder does not matter.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Waits until a time; forever without one.
pub(crate) async fn sleep_until_some(at: Option<tokio::time::Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
