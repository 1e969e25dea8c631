//! The retry policy and its backoff.

use crate::limits::{ATTEMPTS_DEFAULT, RETRY_BASE_MS, RETRY_CAP_MS};

/// A random number from the caller. The domain has no source of randomness.
pub type Entropy = u32;

/// How the delay between attempts grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backoff {
    Fixed,
    Exponential,
}

/// How the delay is randomised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Jitter {
    None,
    /// Uniform between 0 and the computed delay.
    Full,
}

/// The retry policy of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    pub max_attempts: u32,
    pub backoff: Backoff,
    pub base_ms: u64,
    pub cap_ms: u64,
    pub jitter: Jitter,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            max_attempts: ATTEMPTS_DEFAULT as u32,
            backoff: Backoff::Exponential,
            base_ms: RETRY_BASE_MS,
            cap_ms: RETRY_CAP_MS,
            jitter: Jitter::Full,
        }
    }
}

impl RetryPolicy {
    /// Returns the delay in milliseconds after a failed attempt. The first attempt is 1.
    pub fn backoff_ms(&self, attempt: u32, entropy: Entropy) -> u64 {
        let delay = match self.backoff {
            Backoff::Fixed => self.base_ms,
            Backoff::Exponential => {
                let doublings = attempt.saturating_sub(1).min(63);
                self.base_ms.saturating_mul(1 << doublings)
            }
        }
        .min(self.cap_ms);
        match self.jitter {
            Jitter::None => delay,
            Jitter::Full => {
                let share = ((u128::from(delay) + 1) * u128::from(entropy)) >> 32;
                share as u64
            }
        }
    }
}
