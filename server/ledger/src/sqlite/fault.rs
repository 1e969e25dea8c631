//! What SQLite's messages mean.

use std::path::{Path, PathBuf};

use crate::LedgerError;
use crate::sql::Fault;

/// What went wrong, with the file it happened to.
pub(super) fn told(fault: Fault, path: &Path) -> LedgerError {
    fault.at(path, by_message)
}

/// diesel keeps SQLite's result code to itself and hands out the fixed English text of it,
/// so the text is what there is to tell the causes apart.
fn by_message(path: PathBuf, message: String) -> LedgerError {
    let says = |text: &str| message.contains(text);
    if says("database or disk is full") {
        LedgerError::Full { path }
    } else if says("malformed") || says("not a database") || says("constraint failed") {
        LedgerError::Damaged { path, message }
    } else {
        LedgerError::Unavailable { path, message }
    }
}
