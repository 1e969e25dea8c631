//! Faults made on purpose, for the tests of every room: of a network and of a disk.

mod disk;
mod network;

pub use disk::Disk;
pub use network::{Counts, Direction, Proxy};
