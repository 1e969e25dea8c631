//! What goes wrong below, before it is known which file it happened to.

use std::path::Path;

use diesel::result::{ConnectionError, Error as SqlError};
use sentinel_broker::Position;
use sentinel_broker::codec::CodecError;
use sentinel_domain::JobId;

use crate::LedgerError;

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
    Migration(String),
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
        matches!(self, Self::Sql(_) | Self::Open(_) | Self::Migration(_))
    }

    /// The same with the file it happened to.
    pub(crate) fn at(self, path: &Path) -> LedgerError {
        let path = path.to_owned();
        match self {
            Self::Sql(error) => by_message(path, error.to_string()),
            Self::Open(error) => by_message(path, error.to_string()),
            Self::Migration(message) => by_message(path, message),
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

/// diesel keeps SQLite's result code to itself and hands out the fixed English text of it,
/// so the text is what there is to tell the causes apart.
fn by_message(path: std::path::PathBuf, message: String) -> LedgerError {
    let says = |text: &str| message.contains(text);
    if says("database or disk is full") {
        LedgerError::Full { path }
    } else if says("malformed") || says("not a database") || says("constraint failed") {
        LedgerError::Damaged { path, message }
    } else {
        LedgerError::Unavailable { path, message }
    }
}
