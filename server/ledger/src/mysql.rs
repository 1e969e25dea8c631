//! The ledger on MySQL 8 or MariaDB 10.11: one database that several servers share, reached
//! through a driver without a foreign library.

mod address;
pub(crate) mod arrival;
mod fault;
mod identity;
mod kind;
mod migrate;
mod rows;
mod server;
mod session;
mod statement;
mod union;
pub(crate) mod write;

pub(crate) use migrate::migrate;
pub use migrate::{MigrationReport, MigrationMode};
pub(crate) use server::Server;
pub(crate) use session::{Session, within};
pub(crate) use statement::Value;
