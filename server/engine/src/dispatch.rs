//! The assignment of jobs to worker sessions of this server.
//!
//! The scheduler decides which sessions claim jobs; the commit loop claims them and puts them
//! into the outbox of the session; the sweeper takes back what a lost session holds.

mod claim_scheduler;
mod disconnects;
mod hand_back;
mod outbox;
mod session_registry;
mod sweeper;

pub(crate) use claim_scheduler::{ClaimScheduler, SessionCapacity};
pub(crate) use hand_back::AssignmentReturner;
pub use hand_back::HeldLease;
pub(crate) use outbox::{Outbox, Pending};
pub(crate) use session_registry::{Registration, SessionRegistry};
pub(crate) use sweeper::Sweeper;
