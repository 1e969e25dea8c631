//! Copies of a ledger: taken beside a server that is at work, checked, and put to use.

use std::path::{Path, PathBuf};

use sentinel_store::Position;

use crate::LedgerError;
use crate::sqlite::{self, Kind};

/// The file of log lines that belongs to a ledger.
pub(crate) fn logs_of(path: &Path) -> PathBuf {
    let mut logs = path.as_os_str().to_owned();
    logs.push("-logs");
    logs.into()
}

/// Copies the ledger at `from` and its log lines to `to`, each as it is at one moment, and
/// answers the checkpoint of the copy. The copy has no free pages. Blocks, about two seconds a
/// gigabyte.
///
/// # Errors
/// [`LedgerError::Damaged`] when a page of the original can not be read, [`LedgerError::Copy`] when the copy can not be written, and those of [`crate::Ledger::open`].
pub fn copy_ledger(from: &Path, to: &Path) -> Result<Position, LedgerError> {
    sqlite::copy(from, to, Kind::History)?;
    sqlite::copy(&logs_of(from), &logs_of(to), Kind::Logs)?;
    sqlite::check(to, Kind::History)
}

/// Checks that a ledger and its log lines can be read to the last page, and answers its
/// checkpoint. Blocks, about a second a gigabyte.
///
/// # Errors
/// As for [`crate::Ledger::open`]; none of the files is created or changed.
pub fn check_ledger(path: &Path) -> Result<Position, LedgerError> {
    sqlite::check(&logs_of(path), Kind::Logs)?;
    sqlite::check(path, Kind::History)
}

/// How far a ledger has projected the journal, without opening it for use. Blocks.
///
/// # Errors
/// As for [`crate::Ledger::open`].
pub fn ledger_checkpoint(path: &Path) -> Result<Position, LedgerError> {
    sqlite::peek(path)
}

/// Moves the checkpoint of a ledger to another epoch of the journal. Blocks.
///
/// # Errors
/// As for [`crate::Ledger::open`].
pub fn begin_ledger_epoch(path: &Path, epoch: u64) -> Result<(), LedgerError> {
    sqlite::begin_epoch(path, epoch)
}
