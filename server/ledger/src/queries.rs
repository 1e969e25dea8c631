//! The queries of the ledger, as methods of [`crate::Ledger`]. They use only the statements of
//! [`crate::connection::Connection`] and its siblings, so they run on every backend.

pub(crate) mod count;
pub(crate) mod identity;
mod kinds;
mod list;
mod logs;
mod lookup;
mod merge;
mod outputs;
mod project;
mod retention;
