//! The queues of a summary.

use std::collections::BTreeSet;

use sentinel_domain::limits::{SUMMARY_QUEUES, SUMMARY_QUEUES_DEFAULT};
use sentinel_domain::{Name, Scopes, check_name};

use crate::EngineError;

/// The queues of a summary.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SummarySelection {
    /// Sorted. Empty for all: the first [`SUMMARY_QUEUES_DEFAULT`] by name.
    pub queues: Vec<Name>,
    /// Queues outside of these scopes are left out.
    pub within: Scopes,
}

impl SummarySelection {
    /// Returns the selected ones of some sorted names.
    pub(super) fn of<'a>(
        &'a self,
        names: &'a BTreeSet<Name>,
    ) -> Box<dyn Iterator<Item = &'a Name> + 'a> {
        if self.queues.is_empty() {
            let all = names.iter().filter(|name| self.within.contains(name));
            return Box::new(all.take(SUMMARY_QUEUES_DEFAULT as usize));
        }
        let asked = self.queues.iter().filter(|name| self.within.contains(name));
        Box::new(asked.filter_map(|name| names.get(name)))
    }

    pub(super) fn check(&self) -> Result<(), EngineError> {
        let count = self.queues.len();
        if count as u64 > SUMMARY_QUEUES {
            let description = format!("{count} queues is too many: at most {SUMMARY_QUEUES}");
            return Err(EngineError::invalid("summary.queues", description));
        }
        let mut found = Vec::new();
        for queue in &self.queues {
            check_name(&mut found, "summary.queues", queue);
        }
        if found.is_empty() { Ok(()) } else { Err(EngineError::Invalid(found)) }
    }
}
