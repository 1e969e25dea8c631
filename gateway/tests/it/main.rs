//! A gateway in front of a real server, asked over real connections.

mod door;
mod peer;
