//! The Rust SDK: callers and workers of Sentinel. What follows is its README, so that the examples
//! in it are compiled.
//!
#![doc = include_str!("../README.md")]
//!
//! The wire types are re-exported as [`proto`], so that a caller needs no second dependency.

mod access;
mod backoff;
mod client;
mod endpoint;
mod error;
mod new_job;
mod time;
mod tries;
mod typed;
mod watch;
#[cfg(feature = "worker")]
pub mod worker;

pub use access::{
    AuthenticatedChannel, BearerAuth, CA_ENV, CLIENT_CERT_ENV, CLIENT_KEY_ENV, CREDENTIAL_ENV,
    ConnectOptions, DEV_TOKEN_PATH,
};
pub use client::{
    BatchOptions, CancelResult, Client, EnqueueResult, IngestReport, IngestStream, LogStream,
    OutputStream,
};
pub use error::{Error, FieldViolation};
pub use new_job::{NewJob, Unique, UniqueMode, UniqueScope};
pub use typed::{Job, JobHandle, WaitError};
pub use watch::{WatchEvent, WatchOptions, WatchStream};

/// The wire contract: messages and raw gRPC clients.
pub use sentinel_proto as proto;

/// Where a server listens unless told otherwise.
pub const DEFAULT_ENDPOINT: &str = "http://127.0.0.1:7070";

/// Whether a job in this state stays there until someone retries it.
pub fn is_terminal(state: proto::jobs::v1::JobState) -> bool {
    use proto::jobs::v1::JobState;
    matches!(
        state,
        JobState::Succeeded | JobState::Failed | JobState::Cancelled | JobState::Expired
    )
}
