//! The cases by name, one file per noun.

use super::Harness;

/// Runs all of them.
pub(super) async fn all(_make: &impl AsyncFn() -> Harness) {}
