//! The worker as a process, and its demo kinds against the SDK's scripted peer.

#![expect(clippy::unwrap_used, reason = "a failed expectation is the test's result")]

mod demo;
#[expect(dead_code, reason = "the SDK's own tests use the rest of it")]
#[path = "../../../client-sdk/tests/it/peer.rs"]
mod peer;
mod process;
