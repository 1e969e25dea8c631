//! What the ledger does, once for all databases: which ranges a list reads, what a batch of
//! journal entries adds up to, what may be forgotten. Only [`crate::rows::Rows`] is asked.

pub(crate) mod batch;
mod count;
mod list;
mod logs;
mod project;
mod read;
mod retain;
mod scan;

pub(crate) use count::counts;
pub(crate) use list::{list, matching};
pub(crate) use logs::{append_logs, log_bytes, read_logs, remove_logs};
pub(crate) use project::{deleted, project};
pub(crate) use read::{as_of, attempts, checkpoint, get, held_keys, live, queues};
pub(crate) use retain::{expired, oldest, overfull, remove};
