//! Tests of a gateway in front of a real server, over real connections.

mod admission;
mod bodies;
mod connections;
mod docs;
mod failed_calls;
mod fixture;
mod load;
mod process;
