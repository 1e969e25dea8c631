//! Tests of the ledger on real SQLite files and on a real MariaDB.

mod backend;
mod crash;
mod file;
mod identity;
mod import;
mod journal_fixture;
mod kinds;
mod logs;
mod model;
mod mysql;
mod mysql_plan;
mod outputs;
mod project;
mod retention;
mod sqlite_plan;
