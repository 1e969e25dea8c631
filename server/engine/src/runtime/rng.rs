//! The injected random number generator: the only source of randomness.

use std::sync::Arc;

/// A random number generator for ids and jitter. Cheap to clone.
///
/// Randomness is injected so that a seed reproduces a run.
#[derive(Clone)]
pub struct Rng(Arc<dyn Fn() -> u64 + Send + Sync>);

impl Rng {
    /// Returns an unpredictable generator, for production.
    pub fn system() -> Self {
        Self(Arc::new(rand::random))
    }

    /// Returns a generator that calls `next`, for reproducible tests.
    pub fn new(next: impl Fn() -> u64 + Send + Sync + 'static) -> Self {
        Self(Arc::new(next))
    }

    /// Returns 64 random bits.
    pub(crate) fn next_u64(&self) -> u64 {
        (self.0)()
    }

    /// Returns 32 random bits.
    pub(crate) fn next_u32(&self) -> u32 {
        self.next_u64() as u32
    }

    /// Returns 128 random bits.
    pub(crate) fn next_u128(&self) -> u128 {
        u128::from(self.next_u64()) << 64 | u128::from(self.next_u64())
    }
}
