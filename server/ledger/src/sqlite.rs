//! The ledger on SQLite: two files, one writer each.

mod backup;
mod fault;
mod file;
mod identity;
mod kind;
mod rows;
mod statement;

pub(crate) use backup::{begin_epoch, check, copy, peek};
pub(crate) use file::{Database, Kind};

#[cfg(test)]
mod tests;
