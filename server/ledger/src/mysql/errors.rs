//! Classification of MySQL errors. diesel does not expose the error number. A session requests
//! English messages, so the text identifies the error.

use std::path::{Path, PathBuf};

use crate::database_error::DatabaseError;
use crate::error::LedgerError;

/// Adds the address of the database to an error.
pub(super) fn with_path(error: DatabaseError, path: &Path) -> LedgerError {
    error.with_path(path, classify)
}

/// A conflict with another transaction. The transaction was rolled back and may be retried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Conflict {
    /// Detected at once.
    Deadlock,
    /// Detected after the full lock wait timeout.
    LockWaitTimeout,
}

/// Returns the conflict that caused an error.
pub(super) fn conflict(error: &DatabaseError) -> Option<Conflict> {
    let DatabaseError::Sql(error) = error else { return None };
    let message = error.to_string();
    let contains = |text: &str| message.contains(text);
    if contains("Deadlock found") || contains("Record has changed since last read") {
        Some(Conflict::Deadlock)
    } else {
        contains("Lock wait timeout exceeded").then_some(Conflict::LockWaitTimeout)
    }
}

/// Returns whether the connection was lost.
pub(super) fn is_connection_lost(error: &DatabaseError) -> bool {
    match error {
        DatabaseError::Unreachable(_) => true,
        DatabaseError::Sql(error) => {
            let message = error.to_string();
            ["Input/output error", "Driver error", "Connection was killed", "shutdown in progress"]
                .iter()
                .any(|text| message.contains(text))
        }
        _ => false,
    }
}

fn classify(path: PathBuf, message: String) -> LedgerError {
    let contains = |texts: &[&str]| texts.iter().any(|text| message.contains(text));
    if contains(&["is full", "No space left on device"]) {
        LedgerError::Full { path }
    } else if contains(&["max_allowed_packet", "Packet too large"]) {
        let message = format!("{message}; raise max_allowed_packet of the server");
        LedgerError::Misconfigured { path, message }
    } else if contains(&[
        "CONSTRAINT `",
        "Check constraint",
        "Duplicate entry",
        "Data too long",
        "cannot be null",
        "crashed",
        "corrupt",
    ]) {
        LedgerError::Damaged { path, message }
    } else {
        LedgerError::Unavailable { path, message }
    }
}
