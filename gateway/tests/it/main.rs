//! Tests of a gateway in front of a real server, over real connections.

mod admission;
mod fixture;
