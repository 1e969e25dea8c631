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

pub(crate) use audit::AuditApi;
pub use ingest::IngestApi;
pub use job::JobApi;
pub(crate) use key::KeyApi;
pub use kind::KindApi;
pub use queue::QueueApi;
pub use registry::WorkerRegistryApi;
pub use worker::WorkerApi;
