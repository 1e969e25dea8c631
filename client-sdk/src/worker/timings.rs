//! The timings of a session. Only tests change them.

use std::time::Duration;

use crate::backoff::Backoff;

/// The timings of a session. The defaults are those of the protocol.
#[doc(hidden)]
#[derive(Clone, Debug)]
pub struct SessionTimings {
    /// The limit from opening a stream to its Welcome.
    pub hello_timeout: Duration,
    /// After this long without any frame the stream is considered dead.
    pub silence_timeout: Duration,
    /// After this long with unacknowledged reports the stream is considered dead.
    pub ack_timeout: Duration,
    /// The first reconnect delay. The very first reconnect is immediate.
    pub reconnect_base: Duration,
    /// The longest reconnect delay.
    pub reconnect_cap: Duration,
    /// The first delay before a report is sent again after RETRY_LATER.
    pub resend_base: Duration,
    /// The longest delay before a report is sent again.
    pub resend_cap: Duration,
    /// How long a handler may run after its attempt is over before its future is dropped.
    pub abort_grace: Duration,
    /// The minimum interval between small report or credit frames.
    pub flush_interval: Duration,
    /// The minimum interval between progress frames.
    pub progress_interval: Duration,
    /// After `drain_timeout`: how long handlers may take to return before their jobs are released.
    pub release_grace: Duration,
    /// How long the last reports of a drain wait for their acknowledgements.
    pub final_ack_timeout: Duration,
}

impl Default for SessionTimings {
    fn default() -> Self {
        Self {
            hello_timeout: Duration::from_secs(5),
            silence_timeout: Duration::from_secs(5),
            ack_timeout: Duration::from_secs(30),
            reconnect_base: Duration::from_millis(50),
            reconnect_cap: Duration::from_secs(5),
            resend_base: Duration::from_millis(50),
            resend_cap: Duration::from_secs(5),
            abort_grace: Duration::from_secs(5),
            flush_interval: Duration::from_millis(1),
            progress_interval: Duration::from_millis(100),
            release_grace: Duration::from_secs(1),
            final_ack_timeout: Duration::from_secs(5),
        }
    }
}

impl SessionTimings {
    pub(crate) fn reconnect(&self) -> Backoff {
        Backoff { base: self.reconnect_base, cap: self.reconnect_cap }
    }

    pub(crate) fn resend(&self) -> Backoff {
        Backoff { base: self.resend_base, cap: self.resend_cap }
    }
}
