//! The state of an import.

use sentinel_store::Position;

/// An import of one server's ledger files into a shared database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Import {
    /// The end of the source's journal. It identifies the source and its state.
    pub source: Position,
    /// The data directory of the source, for messages.
    pub directory: String,
    pub step: ImportStep,
    /// The number of rows copied so far.
    pub rows: u64,
}

/// The progress of an import.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ImportStep {
    /// Rows are being copied.
    CopyRows,
    /// All rows are copied, and the store is being filled from them.
    FillStore,
    /// Servers may use the database.
    Done,
}
