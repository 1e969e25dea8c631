//! Queues: declared once, and cached so that an enqueue does not read the store.

mod payload_labels;
mod queue_cache;
mod queue_service;

pub(crate) use payload_labels::{add_labels, replace_labels};
pub(crate) use queue_cache::QueueCache;
pub use queue_service::Queues;
