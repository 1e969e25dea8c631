//! Where the servers of a test live, and how it waits for them.

use std::time::{Duration, Instant};

/// A state that has not come after this long never will.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// In memory where there is such a place: most tests are not about the disk.
pub(crate) fn directory() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("a directory")
}

/// Waits until something is true.
pub(crate) fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < PATIENCE, "never: {what}");
        std::thread::yield_now();
    }
}
