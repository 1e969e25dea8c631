//! Fault injection for tests: a network proxy, a small disk, and Redis and MariaDB servers that a
//! test starts, freezes and kills.

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
