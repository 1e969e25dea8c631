//! The worker as a process.

#![expect(clippy::unwrap_used, reason = "a failed expectation is the test's result")]

mod process;
