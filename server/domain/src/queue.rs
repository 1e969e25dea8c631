//! A queue as declared.

use crate::limits::{
    DESCRIPTION_BYTES, INDEX_PATH_BYTES, INDEX_PATHS, PRIORITY_BOOST_MAX_MS, PRIORITY_BOOST_MS,
};
use crate::{Millis, Name, FieldViolation};

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
    /// Members of a JSON payload whose values become labels: their names, joined by dots.
    pub index_paths: Box<[Box<str>]>,
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
            index_paths: Box::default(),
        }
    }

    /// Everything wrong with it.
    pub fn violations(&self) -> Vec<FieldViolation> {
        let mut found = Vec::new();
        crate::admit::check_name(&mut found, "queue.name", &self.name);
        if !(1..=PRIORITY_BOOST_MAX_MS).contains(&self.priority_boost_ms) {
            found.push(FieldViolation::new(
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
        self.index_violations(&mut found);
        found
    }

    fn index_violations(&self, found: &mut Vec<FieldViolation>) {
        let count = self.index_paths.len();
        if count as u64 > INDEX_PATHS {
            let text = format!("{count} paths is too many: at most {INDEX_PATHS}");
            found.push(FieldViolation::new("queue.index_paths", text));
            return;
        }
        for (at, path) in self.index_paths.iter().enumerate() {
            let field = format!("queue.index_paths[{at}]");
            let is_allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
            let is_name = |name: &str| !name.is_empty() && name.chars().all(is_allowed);
            let length = path.len();
            if length as u64 > INDEX_PATH_BYTES {
                let text = format!("{length} bytes is too long: at most {INDEX_PATH_BYTES} bytes");
                found.push(FieldViolation::new(field, text));
            } else if !path.split('.').all(is_name) {
                let text = "is not a path: names of [A-Za-z0-9_-] with dots between";
                found.push(FieldViolation::new(field, text));
            } else if self.index_paths[..at].contains(path) {
                found.push(FieldViolation::new(field, "is there twice"));
            }
        }
    }

    /// Declared the same way; when it was declared, and what it does now, does not matter.
    pub fn same_settings(&self, other: &Self) -> bool {
        (&self.name, self.order, self.priority_boost_ms, &self.description, &self.index_paths)
            == (
                &other.name,
                other.order,
                other.priority_boost_ms,
                &other.description,
                &other.index_paths,
            )
    }
}
