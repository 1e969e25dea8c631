//! Backup of a data directory while its server runs, and restore into an empty directory.
//!
//! The ledger is copied first and the journal after it, so that the journal contains everything
//! that the copied ledger lacks. The journal files are pinned before the ledger is copied, so that
//! the server does not delete files that the copy needs.

mod create;
mod error;
mod files;
mod manifest;
mod restore;

pub(crate) use create::{create, partial_path};
pub(crate) use error::BackupError;
pub(crate) use files::check_servable;
pub(crate) use restore::restore;
