//! Classification of SQLite errors.

use std::path::{Path, PathBuf};

use crate::database_error::DatabaseError;
use crate::error::LedgerError;

/// Adds the path of the file to an error.
pub(super) fn with_path(error: DatabaseError, path: &Path) -> LedgerError {
    error.with_path(path, classify)
}

/// Classifies an error by its text. diesel does not expose SQLite's result code, only the fixed
/// English message for it.
fn classify(path: PathBuf, message: String) -> LedgerError {
    let contains = |text: &str| message.contains(text);
    if contains("database or disk is full") {
        LedgerError::Full { path }
    } else if contains("malformed") || contains("not a database") || contains("constraint failed") {
        LedgerError::Damaged { path, message }
    } else {
        LedgerError::Unavailable { path, message }
    }
}
