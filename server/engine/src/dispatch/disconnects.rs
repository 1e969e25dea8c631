//! Detection of network faults: many streams that close at the same time.

use std::collections::VecDeque;

use sentinel_domain::{Millis, SessionId};

/// Streams that close within this time of each other count as closed together.
const TOGETHER_MS: Millis = 1_000;

struct Disconnect {
    at: Millis,
    session: SessionId,
    /// The session already lives longer because of a suspected network fault.
    is_extended: bool,
}

/// Streams that closed without Bye, newest last, one per session.
#[derive(Default)]
pub(super) struct Disconnects(VecDeque<Disconnect>);

impl Disconnects {
    pub(super) fn record(&mut self, session: SessionId, at: Millis) {
        self.0.retain(|other| at - other.at <= TOGETHER_MS && other.session != session);
        self.0.push_back(Disconnect { at, session, is_extended: false });
    }

    /// Suspects the network when more than three sessions, and more than a third of all, close
    /// together. Then returns the other sessions to extend, each of them once.
    pub(super) fn suspect_network(
        &mut self,
        session: SessionId,
        now: Millis,
        connected: usize,
        is_connected: impl Fn(&SessionId) -> bool,
    ) -> Option<Vec<SessionId>> {
        let closed_at = self.0.iter().find(|one| one.session == session).map_or(now, |one| one.at);
        let is_together = |one: &&Disconnect| (closed_at - one.at).abs() <= TOGETHER_MS;
        let together = self.0.iter().filter(is_together).count();
        let all = connected + self.0.iter().filter(|one| !is_connected(&one.session)).count();
        if together <= 3 || together * 3 <= all {
            return None;
        }
        let extend = |one: &mut Disconnect| {
            one.is_extended = true;
            one.session
        };
        let mut others: Vec<_> =
            self.0.iter_mut().filter(|one| !one.is_extended).map(extend).collect();
        others.retain(|other| *other != session);
        Some(others)
    }
}

#[cfg(test)]
mod tests;
