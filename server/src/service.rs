//! The gRPC services. They decode the request, check access, call the engine and encode the
//! response. Rules about the state of jobs are in the domain and the engine.

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
