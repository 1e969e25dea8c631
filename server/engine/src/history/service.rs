//! The entry point of the reads of the ledger.

use sentinel_ledger::Ledger;

use super::LogWriter;
use crate::jobs::JobReader;

/// Reads of the ledger.
pub struct History {
    pub(crate) reader: JobReader,
    pub(crate) ledger: Ledger,
    pub(crate) logs: LogWriter,
}
