//! The ledger on real files and on a real MariaDB.

mod carry;
mod crash;
mod file;
mod home;
mod journal;
mod logs;
mod model;
mod plan;
mod project;
mod retain;
mod shared;
mod sql;
