//! The loop that applies what peers committed to the in-memory state of this server.

use std::sync::Arc;
use std::time::Duration;

use sentinel_domain::Name;
use sentinel_store::{PeerEvents, ServerId, Store};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::Rng;
use crate::commit::Committer;
use crate::dispatch::{ClaimScheduler, SessionRegistry};
use crate::queues::QueueCache;
use crate::runtime::sleep_until_some;

/// The average distance between the claims of peers after one event. Without it every server of
/// a large cluster would ask the store for the same jobs at once.
const CLAIM_SPACING: Duration = Duration::from_millis(2);

/// The longest time that a server delays its claim.
const CLAIM_DELAY_MAX: Duration = Duration::from_millis(100);

/// The least time between two complete reloads.
const RELOAD_EVERY: Duration = Duration::from_secs(1);

/// The pause after a failed read.
const RETRY_AFTER: Duration = Duration::from_millis(200);

/// When this server claims jobs that peers made ready.
struct ClaimTimer {
    ready: Vec<(Name, Name)>,
    claim_at: Option<Instant>,
    /// The next claim is not earlier, because there was one a moment ago.
    quiet_until: Instant,
    spacing: Duration,
}

impl ClaimTimer {
    fn new(now: Instant) -> Self {
        Self { ready: Vec::new(), claim_at: None, quiet_until: now, spacing: CLAIM_SPACING }
    }

    fn add(&mut self, events: &mut PeerEvents, random: u64) {
        for class in events.ready.drain(..) {
            if !self.ready.contains(&class) {
                self.ready.push(class);
            }
        }
        let peers = u32::try_from(events.server_count.saturating_sub(1)).unwrap_or(u32::MAX);
        self.spacing = CLAIM_SPACING.saturating_mul(peers).min(CLAIM_DELAY_MAX);
        if !self.ready.is_empty() && self.claim_at.is_none() {
            // With a single peer there is nobody to spread the claims over.
            let spread = CLAIM_SPACING.saturating_mul(peers.saturating_sub(1)).min(CLAIM_DELAY_MAX);
            let jitter_us = random.checked_rem(spread.as_micros() as u64).unwrap_or(0);
            let at = Instant::now() + Duration::from_micros(jitter_us);
            self.claim_at = Some(at.max(self.quiet_until));
        }
    }

    /// Returns the queues and kinds to claim from.
    fn fire(&mut self) -> Vec<(Name, Name)> {
        self.claim_at = None;
        self.quiet_until = Instant::now() + self.spacing;
        std::mem::take(&mut self.ready)
    }
}

/// Applies the events of peers to queues, claims and sessions.
pub(crate) struct PeerEventLoop {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) server: ServerId,
    pub(crate) rng: Rng,
    pub(crate) committer: Committer,
    pub(crate) scheduler: Arc<ClaimScheduler>,
    pub(crate) registry: Arc<SessionRegistry>,
    pub(crate) queues: Arc<QueueCache>,
}

impl PeerEventLoop {
    /// Runs until `closing` is cancelled. A store of a single server never has events.
    pub(crate) async fn run(self, closing: CancellationToken) {
        let mut timer = ClaimTimer::new(Instant::now());
        let mut reloaded_at = Instant::now();
        loop {
            let events = tokio::select! {
                () = closing.cancelled() => return,
                () = sleep_until_some(timer.claim_at) => {
                    self.scheduler.wake(&timer.fire());
                    continue;
                }
                events = self.store.peer_events(self.server) => events,
            };
            let mut events = events.unwrap_or_else(|error| {
                tracing::warn!(%error, "events of peers could not be read, reloading everything");
                PeerEvents { is_incomplete: true, ..PeerEvents::default() }
            });
            timer.add(&mut events, self.rng.next_u64());
            if events.is_incomplete {
                self.scheduler.wake_all();
                tokio::select! {
                    () = tokio::time::sleep_until(reloaded_at + RELOAD_EVERY) => {}
                    () = closing.cancelled() => return,
                }
                reloaded_at = Instant::now();
            }
            while !self.apply(&events).await {
                tokio::select! {
                    () = tokio::time::sleep(RETRY_AFTER) => {}
                    () = closing.cancelled() => return,
                }
            }
        }
    }

    /// Updates queues, claims and sessions. Returns false when it must be tried again.
    async fn apply(&self, events: &PeerEvents) -> bool {
        if (events.queues_changed || events.is_incomplete)
            && let Err(error) = self.queues.refresh().await
        {
            tracing::warn!(%error, "queues could not be reloaded, retrying");
            return false;
        }
        if events.queues_changed {
            // A queue may have been resumed.
            self.scheduler.wake_all();
        }
        if events.jobs.is_empty() && events.sessions.is_empty() && !events.is_incomplete {
            return true;
        }
        // A job may have changed between its claim and its assignment to a session here. After
        // an empty commit every earlier claim has been assigned.
        if self.committer.submit_all(Vec::new()).await.is_err() {
            return false;
        }
        for session in &events.sessions {
            self.registry.recheck_owner(*session);
        }
        for (session, job) in &events.jobs {
            self.registry.reload(*session, *job);
        }
        if events.is_incomplete {
            self.registry.reload_all();
        }
        true
    }
}
