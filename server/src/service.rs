//! The thin edge: decode, call the engine, encode. No branch on business state.

mod audit;
mod from_wire;
#[cfg(test)]
mod fuzz;
mod ingest;
mod job;
mod key;
mod kind;
mod queue;
mod registry;
pub mod status;
mod to_wire;
mod watch;
mod worker;

pub(crate) use audit::AuditTrail;
pub use ingest::Producers;
pub use job::Jobs;
pub(crate) use key::Keys;
pub use kind::KindsService;
pub use queue::QueuesService;
pub use registry::WorkerRegistry;
pub use worker::Workers;
