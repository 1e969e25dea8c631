//! The last outcome of each writer, so that a lost reply can be asked for again.

use foldhash::HashMap;
use sentinel_store::{CommitResult, ServerId, StoreError};

/// Writers that are remembered; the one that was silent longest goes first.
const WRITERS_MAX: usize = 64;

struct Last {
    number: u64,
    outcome: CommitResult,
    seen: u64,
}

/// The last outcome of each writer.
#[derive(Default)]
pub(crate) struct Replies {
    last: HashMap<ServerId, Last>,
    clock: u64,
}

impl Replies {
    /// The outcome of a repeat, none for a new call.
    pub(crate) fn recall(
        &self,
        writer: ServerId,
        number: u64,
    ) -> Result<Option<CommitResult>, StoreError> {
        match self.last.get(&writer) {
            Some(last) if last.number == number => Ok(Some(last.outcome.clone())),
            Some(last) if last.number > number => Err(StoreError::Unavailable(format!(
                "call {number} of writer {:x} comes after its call {}",
                writer.0, last.number
            ))),
            _ => Ok(None),
        }
    }

    pub(crate) fn remember(&mut self, writer: ServerId, number: u64, outcome: &CommitResult) {
        self.clock += 1;
        let seen = self.clock;
        self.last.insert(writer, Last { number, outcome: outcome.clone(), seen });
        if self.last.len() > WRITERS_MAX
            && let Some(silent) = self.last.iter().min_by_key(|(_, l)| l.seen).map(|(w, _)| *w)
        {
            self.last.remove(&silent);
        }
    }
}
