//! What goes wrong below, before it is known where it happened.

use std::path::{Path, PathBuf};

use diesel::result::{ConnectionError, Error as SqlError};
use sentinel_domain::JobId;
use sentinel_store::Position;
use sentinel_store::codec::CodecError;

use crate::LedgerError;

/// What a message of the database means.
pub(crate) type Explain = fn(PathBuf, String) -> LedgerError;

/// What went wrong inside a transaction.
#[derive(Debug)]
pub(crate) enum Fault {
    Sql(SqlError),
    Open(ConnectionError),
    Codec(CodecError),
    /// What a check of the whole file found.
    Damaged(String),
    /// A job id of that many bytes.
    Length(usize),
    Newer {
        found: String,
        known: String,
    },
    Older {
        found: String,
        known: String,
    },
    /// The server is not set up for what the ledger needs.
    Unfit(String),
    /// What is there is in the way.
    NotEmpty(String),
    /// The rows of this directory are not all there yet.
    Moving(String),
    Migration(String),
    /// No answer in time, or no way there.
    Away(String),
    Superseded {
        expected: Position,
        found: Position,
    },
    Gap {
        after: Position,
        found: Position,
    },
    MissingJob {
        id: JobId,
        position: Position,
    },
}

impl From<SqlError> for Fault {
    fn from(error: SqlError) -> Self {
        Self::Sql(error)
    }
}

impl From<CodecError> for Fault {
    fn from(error: CodecError) -> Self {
        Self::Codec(error)
    }
}

impl Fault {
    /// The connection may hold half a transaction: a fresh one is safer.
    pub(crate) const fn spoils_connection(&self) -> bool {
        matches!(self, Self::Sql(_) | Self::Open(_) | Self::Migration(_) | Self::Away(_))
    }

    /// The same with the place it happened at. `explain` knows the messages of the database.
    pub(crate) fn at(self, path: &Path, explain: Explain) -> LedgerError {
        let path = path.to_owned();
        match self {
            Self::Sql(error) => explain(path, error.to_string()),
            Self::Open(error) => explain(path, error.to_string()),
            Self::Migration(message) | Self::Away(message) => explain(path, message),
            Self::Older { found, known } => LedgerError::OlderFormat { path, found, known },
            Self::Unfit(message) => LedgerError::Misconfigured { path, message },
            Self::NotEmpty(holds) => LedgerError::NotEmpty { path, holds },
            Self::Moving(directory) => LedgerError::ImportInProgress { path, directory },
            Self::Codec(error) => LedgerError::Damaged { path, message: error.to_string() },
            Self::Damaged(message) => LedgerError::Damaged { path, message },
            Self::Length(len) => {
                LedgerError::Damaged { path, message: format!("a job id of {len} bytes") }
            }
            Self::Newer { found, known } => LedgerError::NewerFormat { path, found, known },
            Self::Superseded { expected, found } => LedgerError::Superseded { expected, found },
            Self::Gap { after, found } => LedgerError::Gap { after, found },
            Self::MissingJob { id, position } => LedgerError::MissingJob { path, id, position },
        }
    }
}
