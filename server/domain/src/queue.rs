//! A queue and its settings.

use crate::limits::{
    DESCRIPTION_BYTES, INDEX_PATH_BYTES, INDEX_PATHS, PRIORITY_BOOST_MAX_MS, PRIORITY_BOOST_MS,
};
use crate::{FieldViolation, Millis, Name};

/// The order in which ready jobs start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QueueOrder {
    /// By ready time. Each priority level is worth `priority_boost_ms` of waiting.
    Aging,
    /// By priority, then by ready time.
    Strict,
}

/// Whether a queue accepts and starts jobs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum QueueMode {
    /// Accepts and starts jobs.
    #[default]
    Open,
    /// Accepts jobs and starts none. Running jobs continue.
    Paused,
    /// Accepts no jobs and starts the existing ones.
    Draining,
}

/// A declared queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Queue {
    pub name: Name,
    pub order: QueueOrder,
    pub priority_boost_ms: u64,
    pub description: Box<str>,
    pub mode: QueueMode,
    pub created_at: Millis,
    /// Paths of payload members whose values become labels: member names, joined by dots.
    pub index_paths: Box<[Box<str>]>,
}

impl Queue {
    /// Returns a queue with default settings, as it is created automatically.
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

    /// Returns all violations.
    pub fn violations(&self) -> Vec<FieldViolation> {
        let mut found = Vec::new();
        crate::new_job::check_name(&mut found, "queue.name", &self.name);
        if !(1..=PRIORITY_BOOST_MAX_MS).contains(&self.priority_boost_ms) {
            found.push(FieldViolation::new(
                "queue.priority_boost",
                format!(
                    "{} ms is out of range: 1..={PRIORITY_BOOST_MAX_MS} ms",
                    self.priority_boost_ms
                ),
            ));
        }
        crate::new_job::check_len(
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
                let text = "is not a path: it must be names of [A-Za-z0-9_-], separated by dots";
                found.push(FieldViolation::new(field, text));
            } else if self.index_paths[..at].contains(path) {
                found.push(FieldViolation::new(field, "is a duplicate"));
            }
        }
    }

    /// Returns whether both queues have the same settings. Mode and creation time are ignored.
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
