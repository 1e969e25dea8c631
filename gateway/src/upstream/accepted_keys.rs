//! API keys that the server accepted a moment ago.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use http::HeaderValue;
use tokio::time::Instant;

/// How long an accepted key is not asked about again. A key that is revoked meanwhile gets its
/// bodies read, and nothing else.
const ACCEPTED_TIME: Duration = Duration::from_secs(10);

/// The limit of accepted keys in memory.
const KEYS_MAX: usize = 10_000;

/// Keys that the server accepted a moment ago, as hashes under a random secret: a collision lets
/// one body be read, and no key stays in memory.
#[derive(Default)]
pub(crate) struct AcceptedKeys {
    hasher: RandomState,
    until: Mutex<HashMap<u64, Instant>>,
}

impl AcceptedKeys {
    pub(crate) fn hash(&self, authorization: Option<&HeaderValue>) -> u64 {
        self.hasher.hash_one(authorization.map(HeaderValue::as_bytes))
    }

    pub(crate) fn contains(&self, hash: u64, now: Instant) -> bool {
        let until = self.until.lock().unwrap_or_else(PoisonError::into_inner);
        until.get(&hash).is_some_and(|until| now < *until)
    }

    pub(crate) fn insert(&self, hash: u64, now: Instant) {
        let mut keys = self.until.lock().unwrap_or_else(PoisonError::into_inner);
        if keys.len() >= KEYS_MAX {
            keys.retain(|_, until| now < *until);
        }
        if keys.len() < KEYS_MAX {
            keys.insert(hash, now + ACCEPTED_TIME);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_acceptance_ends_and_the_keys_in_memory_are_bounded() {
        let keys = AcceptedKeys::default();
        let now = Instant::now();
        let (one, none) = (HeaderValue::from_static("Bearer a"), keys.hash(None));
        let one = keys.hash(Some(&one));
        assert_ne!(one, none);
        keys.insert(one, now);
        assert!(keys.contains(one, now) && !keys.contains(none, now));
        assert!(!keys.contains(one, now + ACCEPTED_TIME));
        for hash in 0..2 * KEYS_MAX as u64 {
            keys.insert(hash, now);
        }
        assert_eq!(keys.until.lock().unwrap().len(), KEYS_MAX);
        keys.insert(none, now + ACCEPTED_TIME);
        assert!(keys.contains(none, now + ACCEPTED_TIME), "ended acceptances make room");
    }
}
