//! The pause between two attempts.

use crate::limits::{ATTEMPTS_DEFAULT, RETRY_BASE_MS, RETRY_CAP_MS};

/// A random number that the caller threw; the domain has none of its own.
pub type Entropy = u32;

/// How the pause grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backoff {
    Fixed,
    Exponential,
}

/// How the pause is randomised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Jitter {
    None,
    /// Uniform between 0 and the pause.
    Full,
}

/// What happens after a failed attempt.
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
    /// The pause after the `attempt`-th attempt failed (from 1), in milliseconds.
    pub fn backoff_ms(&self, attempt: u32, entropy: Entropy) -> u64 {
        let pause = match self.backoff {
            Backoff::Fixed => self.base_ms,
            Backoff::Exponential => {
                let doublings = attempt.saturating_sub(1).min(63);
                self.base_ms.saturating_mul(1 << doublings)
            }
        }
        .min(self.cap_ms);
        match self.jitter {
            Jitter::None => pause,
            Jitter::Full => {
                let share = ((u128::from(pause) + 1) * u128::from(entropy)) >> 32;
                share as u64
            }
        }
    }
}
