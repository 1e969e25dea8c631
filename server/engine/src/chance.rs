//! The one place that throws entropy: ids, pauses, and whatever must not be guessed or must
//! not happen to all at once.

use std::sync::Arc;

/// Throws entropy. Cheap to clone.
#[derive(Clone)]
pub struct Chance(Arc<dyn Fn() -> u64 + Send + Sync>);

impl Chance {
    /// Nobody can tell what comes next.
    pub fn system() -> Self {
        Self(Arc::new(rand::random))
    }

    /// Entropy of the caller's own, so that a life can be lived again.
    pub fn new(throw: impl Fn() -> u64 + Send + Sync + 'static) -> Self {
        Self(Arc::new(throw))
    }

    /// 64 bits.
    pub(crate) fn throw(&self) -> u64 {
        (self.0)()
    }

    /// 128 bits.
    pub(crate) fn throw_wide(&self) -> u128 {
        u128::from(self.throw()) << 64 | u128::from(self.throw())
    }
}
