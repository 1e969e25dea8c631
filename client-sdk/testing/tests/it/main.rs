//! The SDK as developers use it, against a real server: typed jobs, the examples, the clock.

mod examples;
mod typed;
