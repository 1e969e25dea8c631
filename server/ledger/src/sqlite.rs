//! The ledger on SQLite: two files with one writer each.

pub(crate) mod backup;
mod errors;
pub(crate) mod file;
mod identity;
mod kinds;
mod prepared;
mod statements;

#[cfg(test)]
mod tests;
