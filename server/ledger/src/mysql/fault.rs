//! What the messages of the server mean. The number of an error does not come through diesel;
//! a session asks for English messages, so the text tells it.

use std::path::{Path, PathBuf};

use crate::LedgerError;
use crate::sql::Fault;

/// What went wrong, with the database it happened in.
pub(super) fn told(fault: Fault, path: &Path) -> LedgerError {
    fault.at(path, by_message)
}

/// Another transaction was in the way. Nothing happened, and the same may work now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Conflict {
    /// Noticed at once.
    Deadlock,
    /// After the whole wait for a lock.
    Wait,
}

pub(super) fn conflict(fault: &Fault) -> Option<Conflict> {
    let Fault::Sql(error) = fault else { return None };
    let message = error.to_string();
    let says = |text: &str| message.contains(text);
    if says("Deadlock found") || says("Record has changed since last read") {
        Some(Conflict::Deadlock)
    } else {
        says("Lock wait timeout exceeded").then_some(Conflict::Wait)
    }
}

/// The connection ended, not the statement.
pub(super) fn is_loss(fault: &Fault) -> bool {
    match fault {
        Fault::Away(_) => true,
        Fault::Sql(error) => {
            let message = error.to_string();
            ["Input/output error", "Driver error", "Connection was killed", "shutdown in progress"]
                .iter()
                .any(|text| message.contains(text))
        }
        _ => false,
    }
}

fn by_message(path: PathBuf, message: String) -> LedgerError {
    let says = |texts: &[&str]| texts.iter().any(|text| message.contains(text));
    if says(&["is full", "No space left on device"]) {
        LedgerError::Full { path }
    } else if says(&["max_allowed_packet", "Packet too large"]) {
        let message = format!("{message}; raise max_allowed_packet of the server");
        LedgerError::Misconfigured { path, message }
    } else if says(&[
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
