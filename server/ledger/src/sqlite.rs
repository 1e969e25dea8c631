//! The ledger on SQLite. All SQL of the crate is below this module, so that another
//! database is another module beside it.

mod backup;
mod count;
mod fault;
mod file;
mod list;
mod logs;
mod project;
mod read;
mod retain;
mod scan;
mod schema;
mod statement;

pub(crate) use backup::{begin_epoch, check, copy, peek};
pub(crate) use count::counts;
pub(crate) use file::{Database, Kind};
pub(crate) use list::list;
pub(crate) use logs::{append_logs, log_bytes, read_logs};
pub(crate) use project::project;
pub(crate) use read::{as_of, attempts, checkpoint, get, held_keys, live, queues};
pub(crate) use retain::{expired, oldest, overfull, remove, remove_logs};

use sentinel_domain::JobId;

/// An id as its column holds it: big-endian, so that bytes sort as ids do.
fn key(id: JobId) -> [u8; 16] {
    id.as_u128().to_be_bytes()
}

/// The id of a column.
fn job_id(bytes: &[u8]) -> Result<JobId, fault::Fault> {
    let bytes = bytes.try_into().map_err(|_| fault::Fault::Length(bytes.len()))?;
    Ok(JobId::from_u128(u128::from_be_bytes(bytes)))
}
