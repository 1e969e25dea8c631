//! Whether streams that end at the same time are the fault of their workers.

use std::collections::VecDeque;

use sentinel_domain::{Millis, SessionId};

/// Streams that ended within this time of each other count as ended together.
const TOGETHER_MS: Millis = 1_000;

struct End {
    at: Millis,
    session: SessionId,
    /// It was given the time that a suspected network gives.
    has_more_time: bool,
}

/// Streams that ended without Bye, newest last, one per session.
#[derive(Default)]
pub(super) struct Suspicion(VecDeque<End>);

impl Suspicion {
    pub(super) fn note(&mut self, session: SessionId, at: Millis) {
        self.0.retain(|end| at - end.at <= TOGETHER_MS && end.session != session);
        self.0.push_back(End { at, session, has_more_time: false });
    }

    /// When over a third of the sessions, and over three, end together, the network is
    /// suspected: then those that were not given more time yet, each once.
    pub(super) fn ask(
        &mut self,
        session: SessionId,
        now: Millis,
        present: usize,
        is_present: impl Fn(&SessionId) -> bool,
    ) -> Option<Vec<SessionId>> {
        let noted = self.0.iter().find(|end| end.session == session).map_or(now, |end| end.at);
        let is_together = |end: &&End| (noted - end.at).abs() <= TOGETHER_MS;
        let together = self.0.iter().filter(is_together).count();
        let all = present + self.0.iter().filter(|end| !is_present(&end.session)).count();
        if together <= 3 || together * 3 <= all {
            return None;
        }
        let less = self.0.iter_mut().filter(|end| !end.has_more_time);
        let give = |end: &mut End| {
            end.has_more_time = true;
            end.session
        };
        let mut others: Vec<_> = less.map(give).collect();
        others.retain(|other| *other != session);
        Some(others)
    }
}

#[cfg(test)]
mod tests;
