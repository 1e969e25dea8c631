//! The parameters and results of [`crate::Ledger`]'s methods.

pub(crate) mod identity;
pub(crate) mod import;
pub(crate) mod jobs;
pub(crate) mod kinds;
pub(crate) mod logs;
pub(crate) mod outputs;
pub(crate) mod retention;
