//! The wall clock of the worker binary. All other code takes times as arguments.

use std::time::{SystemTime, UNIX_EPOCH};

#[expect(clippy::disallowed_methods, reason = "this is the clock")]
pub(crate) fn wall_clock() -> SystemTime {
    SystemTime::now()
}

/// Returns whole seconds since the Unix epoch.
pub(crate) fn unix_s() -> u64 {
    wall_clock().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
