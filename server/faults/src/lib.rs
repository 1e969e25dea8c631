//! Faults made on purpose, for the tests of every room: of a network, a disk and a database server.

mod disk;
mod mariadb;
mod network;

pub use disk::Disk;
pub use mariadb::MariaDb;
pub use network::{Counts, Direction, Proxy};
