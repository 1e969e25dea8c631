//! The workers of the cluster, and the kinds that they declare.

mod kinds;
mod worker_registry;

pub use kinds::{DeclaredKind, Kind, Kinds, KindsPage};
pub(crate) use kinds::{KindDeclarations, KindLoop, kind_channel};
pub(crate) use worker_registry::decode_worker_info;
pub use worker_registry::{WorkerEntry, Workers, WorkersPage};
