//! Worker sessions: the protocol between one worker process and its server.
//!
//! The stream carries the heartbeats of the worker. Leases belong to the session, not to the
//! stream: a stream may break and be replaced, here or at a peer.

mod actor;
mod attempt_data;
mod cancels;
mod closing;
mod context;
mod frame;
mod opening;
mod outbound_queue;
mod poison_isolation;
mod reloads;
mod reports;
mod service;
mod suspects;
mod timers;
mod worker_info;

pub use crate::dispatch::HeldLease;
pub(crate) use context::SessionContext;
pub use frame::{
    FromWorker, HeldLeaseVerdict, Hello, LogLine, Principal, ReportItem, ReportVerdict, StreamEnd,
    ToWorker, Welcome, WorkerDetails, failure,
};
pub use outbound_queue::{OutboundFrames, OutboundQueue, outbound_queue};
pub use service::Sessions;
