//! The SDK against a peer that speaks the wire contract and misbehaves on cue: it cuts streams,
//! repeats frames, goes silent and answers late. Each test scripts the peer and asserts on the
//! frames that reach it.

#![expect(clippy::unwrap_used, reason = "a failed expectation is the test's result")]

mod bytes;
mod cancel;
mod client;
mod drain;
mod job_peer;
mod peer;
mod reconnect;
mod run;
mod side;
mod storm;
mod watch;
