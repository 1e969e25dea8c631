//! The settings of a ledger.

/// The settings of a ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LedgerOptions {
    /// The number of connections that read concurrently, per file; at least 1.
    pub readers: usize,
    /// The maximum size of each of the two files, in bytes. `None`: limited by the disk only.
    pub max_bytes: Option<u64>,
    /// Run statements on the thread of the caller, which blocks it. For deterministic
    /// single-threaded programs only: a second thread would change the order of events.
    pub run_inline: bool,
    /// The maximum payload of a job, in bytes. A database server must accept it in one packet.
    pub max_payload_bytes: u64,
    /// Open a database although an import into it is unfinished. Only the import sets it.
    pub allow_unfinished_import: bool,
}

impl LedgerOptions {
    /// Options for payloads of at most this size. Not a default: each program takes it from the
    /// settings of the servers, so that all of them demand the same of a database server.
    pub const fn new(max_payload_bytes: u64) -> Self {
        Self {
            readers: 4,
            max_bytes: None,
            run_inline: false,
            max_payload_bytes,
            allow_unfinished_import: false,
        }
    }
}
