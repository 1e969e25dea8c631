//! Copies of a ledger: taking, checking and adapting them.

use std::path::{Path, PathBuf};

use sentinel_store::Position;

use crate::error::LedgerError;
use crate::sqlite::backup as sqlite;
use crate::sqlite::file::FileKind;

/// Returns the path of the log file that belongs to a ledger.
pub(crate) fn logs_path(path: &Path) -> PathBuf {
    let mut logs = path.as_os_str().to_owned();
    logs.push("-logs");
    logs.into()
}

/// Copies the ledger at `from` and its log file to `to`, and returns the checkpoint of the copy.
/// Each file is copied as of one moment and without free pages. A server may be running. Blocks,
/// about two seconds per gigabyte.
///
/// # Errors
/// [`LedgerError::Damaged`] if a page of the original cannot be read, [`LedgerError::Copy`] if
/// the copy cannot be written, and those of [`crate::Ledger::open`].
pub fn copy_ledger(from: &Path, to: &Path) -> Result<Position, LedgerError> {
    sqlite::copy(from, to, FileKind::History)?;
    sqlite::copy(&logs_path(from), &logs_path(to), FileKind::Logs)?;
    sqlite::check(to, FileKind::History)
}

/// Checks that every page of a ledger and its log file can be read, and returns its checkpoint.
/// Blocks, about a second per gigabyte.
///
/// # Errors
/// As for [`crate::Ledger::open`]. No file is created or changed.
pub fn check_ledger(path: &Path) -> Result<Position, LedgerError> {
    sqlite::check(&logs_path(path), FileKind::Logs)?;
    sqlite::check(path, FileKind::History)
}

/// Returns the checkpoint of a ledger without opening it for use. Blocks.
///
/// # Errors
/// As for [`crate::Ledger::open`].
pub fn ledger_checkpoint(path: &Path) -> Result<Position, LedgerError> {
    sqlite::checkpoint(path)
}

/// Moves the checkpoint of a ledger to another epoch of the journal. Blocks.
///
/// # Errors
/// As for [`crate::Ledger::open`].
pub fn begin_ledger_epoch(path: &Path, epoch: u64) -> Result<(), LedgerError> {
    sqlite::begin_epoch(path, epoch)
}
