//! The limits of the connections of a listener.

use std::time::Duration;

/// The limits of the connections of one listener. A client is an IPv4 address or an IPv6 /64.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ConnectionLimits {
    /// Connections of all clients.
    pub(crate) max: usize,
    /// Connections of one client.
    pub(crate) client_max: usize,
    /// Whether a connection with a request is closed for a new one when none is idle.
    pub(crate) closes_busy: bool,
    /// Time to send the first request head, and every later one from its first byte.
    pub(crate) head_timeout: Duration,
    /// Time that a connection may be idle after a response.
    pub(crate) idle_timeout: Duration,
}
