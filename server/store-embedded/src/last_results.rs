//! The last commit result of each writer, for repeated requests.

use foldhash::HashMap;
use sentinel_store::{CommitResult, ServerId, StoreError};

/// The maximum number of writers. The least recently active one is removed first.
const WRITERS_MAX: usize = 64;

struct Last {
    number: u64,
    result: CommitResult,
    used_at: u64,
}

/// The last commit result of each writer.
#[derive(Default)]
pub(crate) struct LastResults {
    by_writer: HashMap<ServerId, Last>,
    /// Counts the commits.
    clock: u64,
}

impl LastResults {
    /// Returns the result of a repeated request, or `None` for a new one.
    ///
    /// # Errors
    ///
    /// Fails if the number is lower than the last one of the writer.
    pub(crate) fn lookup(
        &self,
        writer: ServerId,
        number: u64,
    ) -> Result<Option<CommitResult>, StoreError> {
        match self.by_writer.get(&writer) {
            Some(last) if last.number == number => Ok(Some(last.result.clone())),
            Some(last) if last.number > number => Err(StoreError::Unavailable(format!(
                "commit {number} of writer {:x} is older than its last commit {}",
                writer.0, last.number
            ))),
            _ => Ok(None),
        }
    }

    pub(crate) fn put(&mut self, writer: ServerId, number: u64, result: &CommitResult) {
        self.clock += 1;
        let used_at = self.clock;
        self.by_writer.insert(writer, Last { number, result: result.clone(), used_at });
        if self.by_writer.len() > WRITERS_MAX {
            let oldest = self.by_writer.iter().min_by_key(|(_, last)| last.used_at);
            if let Some(oldest) = oldest.map(|(writer, _)| *writer) {
                self.by_writer.remove(&oldest);
            }
        }
    }
}
