//! Notifications about the commits of other servers.

use sentinel_domain::{JobId, Name, SessionId};

/// What other servers of the cluster changed that concerns this one. These are hints: the current
/// state must be read from the store.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PeerEvents {
    /// Queue and kind of jobs that became READY and were not claimed in the same commit.
    pub ready: Vec<(Name, Name)>,
    /// Jobs that were RUNNING under sessions of this server and changed.
    pub jobs: Vec<(SessionId, JobId)>,
    /// Sessions of this server that another server adopted or dropped.
    pub sessions: Vec<SessionId>,
    /// Whether a queue was declared or changed.
    pub queues_changed: bool,
    /// Whether events may be lost. Any of the above may have happened then.
    pub is_incomplete: bool,
    /// The number of servers that receive events, including this one. 0 if it is not known yet.
    pub server_count: usize,
}

impl PeerEvents {
    /// Returns whether there are no events.
    pub fn is_empty(&self) -> bool {
        self.ready.is_empty()
            && self.jobs.is_empty()
            && self.sessions.is_empty()
            && !self.queues_changed
            && !self.is_incomplete
    }
}
