//! The Rust SDK against a real server: typed jobs, the examples, the test clock.

mod examples;
mod typed;
