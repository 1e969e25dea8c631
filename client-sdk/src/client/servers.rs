//! The servers of a client. All clones call the same one until it fails.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::connect_options::AuthenticatedChannel;

#[derive(Clone, Debug)]
pub(super) struct Servers {
    /// At least one.
    channels: Arc<[AuthenticatedChannel]>,
    /// Counts the servers that failed; modulo the number of servers it is the current one.
    current: Arc<AtomicUsize>,
}

impl Servers {
    pub(super) fn new(channels: Vec<AuthenticatedChannel>) -> Self {
        Self { channels: channels.into(), current: Arc::default() }
    }

    pub(super) fn channel(&self) -> AuthenticatedChannel {
        self.channels[self.current() % self.channels.len()].clone()
    }

    pub(super) fn current(&self) -> usize {
        self.current.load(Ordering::Relaxed)
    }

    /// Selects the next server, unless another call that failed already did.
    pub(super) fn failed(&self, current: usize) {
        let next = current.wrapping_add(1);
        // Fails when the current server has changed meanwhile.
        let _ = self.current.compare_exchange(current, next, Ordering::Relaxed, Ordering::Relaxed);
    }
}
