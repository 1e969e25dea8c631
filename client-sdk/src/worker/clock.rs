//! The wall clock, for timestamps that people read. All decisions use monotonic time.

use std::time::SystemTime;

pub(super) fn wall_clock() -> SystemTime {
    #[expect(clippy::disallowed_methods, reason = "the only use of the wall clock in the SDK")]
    SystemTime::now()
}
