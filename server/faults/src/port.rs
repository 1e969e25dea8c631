//! Free ports for servers that tests start.

use std::net::{Ipv4Addr, TcpListener};

/// Returns a port of loopback that is free at this moment.
///
/// # Panics
/// No port is free.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port is free");
    listener.local_addr().expect("it has an address").port()
}
