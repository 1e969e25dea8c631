//! Faults made on purpose, for the tests of every room: of a network, of a disk, and of the
//! servers that Sentinel leans on.

mod disk;
mod mariadb;
mod network;
mod port;
mod redis;

pub use disk::Disk;
pub use mariadb::MariaDb;
pub use network::{Counts, Direction, Proxy};
pub use port::free_port;
pub use redis::{RedisServer, redis_cli};
