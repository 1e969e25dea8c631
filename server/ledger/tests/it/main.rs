//! The ledger on real files and on a real MariaDB.

mod carry;
mod crash;
mod file;
mod home;
mod identity;
mod journal;
mod kinds;
mod logs;
mod model;
mod outputs;
mod plan;
mod project;
mod retain;
mod shared;
mod sql;
