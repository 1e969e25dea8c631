//! The one place of the worker runtime that reads the wall clock: for times that people
//! read. Everything that decides anything goes by monotonic time.

use std::time::SystemTime;

pub(super) fn wall_clock() -> SystemTime {
    #[expect(clippy::disallowed_methods, reason = "the only reader of the wall clock")]
    SystemTime::now()
}
