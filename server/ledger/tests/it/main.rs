//! The ledger on real files.

mod crash;
mod file;
mod journal;
mod logs;
mod model;
mod project;
mod retain;
mod sql;
