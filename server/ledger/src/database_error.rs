//! The error of a statement or a transaction, before the path of the database is added.

use std::path::{Path, PathBuf};

use diesel::result::{ConnectionError, Error as SqlError};
use sentinel_domain::JobId;
use sentinel_store::Position;
use sentinel_store::codec::CodecError;

use crate::error::LedgerError;

/// Classifies an error message of one database system.
pub(crate) type Classify = fn(PathBuf, String) -> LedgerError;

/// The error of a statement or a transaction.
#[derive(Debug)]
pub(crate) enum DatabaseError {
    Sql(SqlError),
    Connect(ConnectionError),
    Codec(CodecError),
    /// An integrity check failed.
    Damaged(String),
    /// A job id has this many bytes instead of 16.
    InvalidJobId(usize),
    NewerFormat {
        found: String,
        known: String,
    },
    OlderFormat {
        found: String,
        known: String,
    },
    Misconfigured(String),
    /// The target of an import contains this.
    NotEmpty(String),
    /// The import of this directory is unfinished.
    ImportInProgress(String),
    Migration(String),
    /// No connection, or no response in time.
    Unreachable(String),
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

impl From<SqlError> for DatabaseError {
    fn from(error: SqlError) -> Self {
        Self::Sql(error)
    }
}

impl From<CodecError> for DatabaseError {
    fn from(error: CodecError) -> Self {
        Self::Codec(error)
    }
}

impl DatabaseError {
    /// Returns whether the connection may be left inside a failed transaction, so that it must
    /// not be reused.
    pub(crate) const fn invalidates_connection(&self) -> bool {
        matches!(self, Self::Sql(_) | Self::Connect(_) | Self::Migration(_) | Self::Unreachable(_))
    }

    /// Adds the path of the database. `classify` interprets the messages of its system.
    pub(crate) fn with_path(self, path: &Path, classify: Classify) -> LedgerError {
        let path = path.to_owned();
        match self {
            Self::Sql(error) => classify(path, error.to_string()),
            Self::Connect(error) => classify(path, error.to_string()),
            Self::Migration(message) | Self::Unreachable(message) => classify(path, message),
            Self::OlderFormat { found, known } => LedgerError::OlderFormat { path, found, known },
            Self::Misconfigured(message) => LedgerError::Misconfigured { path, message },
            Self::NotEmpty(holds) => LedgerError::NotEmpty { path, holds },
            Self::ImportInProgress(directory) => LedgerError::ImportInProgress { path, directory },
            Self::Codec(error) => LedgerError::Damaged { path, message: error.to_string() },
            Self::Damaged(message) => LedgerError::Damaged { path, message },
            Self::InvalidJobId(len) => {
                let message = format!("a job id has {len} bytes, not 16");
                LedgerError::Damaged { path, message }
            }
            Self::NewerFormat { found, known } => LedgerError::NewerFormat { path, found, known },
            Self::Superseded { expected, found } => LedgerError::Superseded { expected, found },
            Self::Gap { after, found } => LedgerError::Gap { after, found },
            Self::MissingJob { id, position } => LedgerError::MissingJob { path, id, position },
        }
    }
}
