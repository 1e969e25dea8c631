//! The timings of a session. Tests shorten them; nobody else has a reason to.

use std::time::Duration;

use crate::backoff::Backoff;

/// The timings of a session, with the values that the protocol names.
#[doc(hidden)]
#[derive(Clone, Debug)]
pub struct SessionTimings {
    /// From opening a stream to its Welcome.
    pub hello_timeout: Duration,
    /// Without any frame for this long the stream counts as dead.
    pub silence: Duration,
    /// With reports sent and none acknowledged for this long the stream counts as dead.
    pub ack_timeout: Duration,
    /// First pause between two dials (the very first redial is immediate).
    pub redial_base: Duration,
    /// Longest pause between two dials.
    pub redial_cap: Duration,
    /// First pause before a report is sent again after RETRY_LATER.
    pub resend_base: Duration,
    /// Longest pause before a report is sent again.
    pub resend_cap: Duration,
    /// A handler whose attempt is lost gets this long before its future is dropped.
    pub abandon_grace: Duration,
    /// Reports and credits below a batch wait this long after the frame before.
    pub flush_interval: Duration,
    /// Progress frames are at least this far apart.
    pub progress_interval: Duration,
    /// After `drain_timeout`: handlers get this long to return before their jobs are handed back.
    pub release_grace: Duration,
    /// The last reports of a drain get this long to be acknowledged.
    pub last_acks_timeout: Duration,
}

impl Default for SessionTimings {
    fn default() -> Self {
        Self {
            hello_timeout: Duration::from_secs(5),
            silence: Duration::from_secs(5),
            ack_timeout: Duration::from_secs(30),
            redial_base: Duration::from_millis(50),
            redial_cap: Duration::from_secs(5),
            resend_base: Duration::from_millis(50),
            resend_cap: Duration::from_secs(5),
            abandon_grace: Duration::from_secs(5),
            flush_interval: Duration::from_millis(1),
            progress_interval: Duration::from_millis(100),
            release_grace: Duration::from_secs(1),
            last_acks_timeout: Duration::from_secs(5),
        }
    }
}

impl SessionTimings {
    pub(crate) fn redial(&self) -> Backoff {
        Backoff { base: self.redial_base, cap: self.redial_cap }
    }

    pub(crate) fn resend(&self) -> Backoff {
        Backoff { base: self.resend_base, cap: self.resend_cap }
    }
}
