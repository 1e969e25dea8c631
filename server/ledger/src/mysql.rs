//! The ledger on MySQL 8 or MariaDB 10.11: one database that several servers share. The driver
//! is pure Rust and needs no client library.

mod address;
pub(crate) mod connection;
pub(crate) mod database;
mod errors;
mod identity;
pub(crate) mod import_state;
pub(crate) mod insert;
mod kinds;
pub(crate) mod migrate;
mod statements;
mod union;
pub(crate) mod write;
