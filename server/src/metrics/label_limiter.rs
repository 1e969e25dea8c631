//! Limits the values of a metric label. Callers choose them, and each one takes memory here and in
//! every Prometheus server that scrapes.

use std::collections::HashSet;
use std::sync::{Arc, PoisonError, RwLock};

/// Interns the first `max` values of a label. Later values become `other`.
#[derive(Debug)]
pub(super) struct LabelLimiter {
    max: usize,
    seen: RwLock<HashSet<Arc<str>>>,
    other: Arc<str>,
}

impl LabelLimiter {
    /// Creates a limiter for `max` distinct values.
    pub(super) fn new(max: usize) -> LabelLimiter {
        LabelLimiter { max, seen: RwLock::default(), other: "other".into() }
    }

    /// Returns the label for a value: the value or `other`.
    pub(super) fn label(&self, value: &str) -> Arc<str> {
        // The set is valid after a panic of another thread: an insert is atomic.
        let seen = self.seen.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(existing) = seen.get(value) {
            return existing.clone();
        }
        let full = seen.len() >= self.max;
        drop(seen);
        if full {
            return self.other.clone();
        }
        let mut seen = self.seen.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(existing) = seen.get(value) {
            return existing.clone();
        }
        if seen.len() >= self.max {
            return self.other.clone();
        }
        let new: Arc<str> = value.into();
        seen.insert(new.clone());
        new
    }
}
