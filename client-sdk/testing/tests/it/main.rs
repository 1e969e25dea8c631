//! The SDK as developers use it, against a real server: typed jobs, the examples, the clock.

#![expect(clippy::unwrap_used, reason = "a failed expectation is the test's result")]

mod examples;
mod typed;
