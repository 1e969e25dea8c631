//! The worker process and its demo kinds against the scripted server of the SDK.

#![expect(clippy::unwrap_used, reason = "a failed expectation is the test's result")]

mod demo;
mod process;
#[expect(dead_code, reason = "the rest is used by the tests of the SDK")]
#[path = "../../../client-sdk/tests/it/scripted_server.rs"]
mod scripted_server;
