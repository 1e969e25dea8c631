//! A label whose values callers choose must not grow without end: each value costs memory
//! here and in every Prometheus that scrapes.

use std::collections::HashSet;
use std::sync::{Arc, PoisonError, RwLock};

/// Interns the first values that it sees; later ones become `other`.
#[derive(Debug)]
pub(super) struct Bounded {
    max: usize,
    seen: RwLock<HashSet<Arc<str>>>,
    other: Arc<str>,
}

impl Bounded {
    /// Keeps `max` values apart.
    pub(super) fn new(max: usize) -> Bounded {
        Bounded { max, seen: RwLock::default(), other: "other".into() }
    }

    /// The label for a value.
    pub(super) fn label(&self, value: &str) -> Arc<str> {
        // A set stays usable after a panic elsewhere: an insert is done or not.
        let seen = self.seen.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = seen.get(value) {
            return known.clone();
        }
        let full = seen.len() >= self.max;
        drop(seen);
        if full {
            return self.other.clone();
        }
        let mut seen = self.seen.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = seen.get(value) {
            return known.clone();
        }
        if seen.len() >= self.max {
            return self.other.clone();
        }
        let new: Arc<str> = value.into();
        seen.insert(new.clone());
        new
    }
}
