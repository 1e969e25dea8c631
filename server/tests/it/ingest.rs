//! Producers: each numbered item becomes one job, whichever process dies.

mod command;
pub(crate) mod exactly_once;
mod protocol;
