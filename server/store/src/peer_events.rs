//! What the commits of other servers mean for one server.

use sentinel_domain::{JobId, Name, SessionId};

/// What other servers did that this one must react to. Only a hint where to look: the truth
/// is what a read answers then.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PeerEvents {
    /// Queue and kind of jobs that became READY and were not claimed by the call that made
    /// them so.
    pub ready: Vec<(Name, Name)>,
    /// Jobs that were RUNNING under sessions of this server and changed.
    pub jobs: Vec<(SessionId, JobId)>,
    /// Sessions that were this server's until another one put or dropped their rows.
    pub sessions: Vec<SessionId>,
    /// Queues were declared, or changed.
    pub queues_changed: bool,
    /// Some news may have been lost: any of the above may have happened.
    pub is_incomplete: bool,
    /// How many servers hear news, this one included; 0 where that is not known yet.
    pub server_count: usize,
}

impl PeerEvents {
    /// Nothing happened.
    pub fn is_empty(&self) -> bool {
        self.ready.is_empty()
            && self.jobs.is_empty()
            && self.sessions.is_empty()
            && !self.queues_changed
            && !self.is_incomplete
    }
}
