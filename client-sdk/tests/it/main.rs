//! The SDK against a scripted server that disconnects, rejects calls and responds late. Behaviour
//! that every worker runtime must have is tested in `client-sdk/conformance`; these tests cover the
//! client and what is specific to the Rust worker.

#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

mod checkpoint;
mod client;
mod payload_credit;
mod random_disconnects;
mod reconnect;
mod run;
mod scripted_job_service;
mod scripted_server;
mod watch;
