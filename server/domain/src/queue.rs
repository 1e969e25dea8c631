//! A queue as declared.

use crate::limits::{DESCRIPTION_BYTES, PRIORITY_BOOST_MAX_MS, PRIORITY_BOOST_MS};
use crate::{Millis, Name, Violation};

/// In which order ready jobs start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QueueOrder {
    /// By ready time, each priority level worth `priority_boost_ms` of waiting.
    Aging,
    /// By priority, then by ready time.
    Strict,
}

/// What a queue does with its jobs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum QueueMode {
    /// Takes jobs and lets them start.
    #[default]
    Open,
    /// Takes jobs; none starts. Those that run go on.
    Paused,
    /// Takes no new jobs; those that are there start.
    Draining,
}

/// A queue as declared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Queue {
    pub name: Name,
    pub order: QueueOrder,
    pub priority_boost_ms: u64,
    pub description: Box<str>,
    pub mode: QueueMode,
    pub created_at: Millis,
}

impl Queue {
    /// A queue with every default, as auto-create makes it.
    pub fn with_defaults(name: Name, now: Millis) -> Self {
        Self {
            name,
            order: QueueOrder::Aging,
            priority_boost_ms: PRIORITY_BOOST_MS,
            description: "".into(),
            mode: QueueMode::Open,
            created_at: now,
        }
    }

    /// Everything wrong with it.
    pub fn violations(&self) -> Vec<Violation> {
        let mut found = Vec::new();
        crate::admit::check_name(&mut found, "queue.name", &self.name);
        if !(1..=PRIORITY_BOOST_MAX_MS).contains(&self.priority_boost_ms) {
            found.push(Violation::new(
                "queue.priority_boost",
                format!(
                    "{} ms is out of range: 1..={PRIORITY_BOOST_MAX_MS} ms",
                    self.priority_boost_ms
                ),
            ));
        }
        crate::admit::check_len(
            &mut found,
            "queue.description",
            self.description.len(),
            DESCRIPTION_BYTES,
        );
        found
    }

    /// Declared the same way; when it was declared, and what it does now, does not matter.
    pub fn same_settings(&self, other: &Self) -> bool {
        (&self.name, self.order, self.priority_boost_ms, &self.description)
            == (&other.name, other.order, other.priority_boost_ms, &other.description)
    }
}
