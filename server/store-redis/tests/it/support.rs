//! Helpers of the tests: directories and waiting.

use std::time::{Duration, Instant};

/// The maximum time to wait for a state.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(20);

/// Creates a directory, in memory if possible: most tests do not depend on the disk.
pub(crate) fn temp_dir() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("a directory")
}

/// Waits until a condition is true.
pub(crate) fn wait_until(condition: &str, mut is_met: impl FnMut() -> bool) {
    let started = Instant::now();
    while !is_met() {
        assert!(started.elapsed() < TIMEOUT, "timed out: {condition}");
        std::thread::yield_now();
    }
}
