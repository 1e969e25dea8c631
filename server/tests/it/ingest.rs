//! Producers: each numbered item is one job, whoever dies.

mod command;
pub(crate) mod once;
mod protocol;
