//! The Rust SDK of Sentinel: a client and a worker runtime. The README follows, so that its
//! examples are compiled.
//!
#![doc = include_str!("../README.md")]
//!
//! The wire types are re-exported as [`proto`], so that programs need no second dependency.

mod backoff;
mod client;
mod connect_options;
mod endpoint;
mod error;
mod id;
mod json;
mod new_job;
mod retry;
mod time;
mod typed;
mod watch;
#[cfg(feature = "worker")]
pub mod worker;

pub use client::{
    BatchOptions, CancelResult, Client, EnqueueResult, IngestReport, IngestStream, LogStream,
    OutputStream,
};
pub use connect_options::{
    ALLOW_PLAINTEXT_ENV, AuthenticatedChannel, BearerAuth, CA_ENV, CLIENT_CERT_ENV, CLIENT_KEY_ENV,
    CREDENTIAL_ENV, ConnectOptions, DEV_TOKEN_PATH,
};
pub use error::{Error, FieldViolation};
pub use new_job::{NewJob, Unique, UniqueMode, UniqueScope};
pub use typed::{Job, JobHandle, WaitError};
pub use watch::{WatchEvent, WatchOptions, WatchStream};

/// The wire contract: messages and generated gRPC clients.
pub use sentinel_proto as proto;

/// The default address of a server.
pub const DEFAULT_ENDPOINT: &str = "http://127.0.0.1:7070";

/// Whether `state` is terminal: the job has finished and only a retry changes its state.
pub fn is_terminal(state: proto::jobs::v1::JobState) -> bool {
    use proto::jobs::v1::JobState;
    matches!(
        state,
        JobState::Succeeded | JobState::Failed | JobState::Cancelled | JobState::Expired
    )
}
