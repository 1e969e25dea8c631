//! Ports for the servers that tests start.

use std::net::{Ipv4Addr, TcpListener};

/// A port of loopback that nobody listens on at this moment.
///
/// # Panics
/// There is none.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port is free");
    listener.local_addr().expect("it has an address").port()
}
