//! The tables, and the statements and encodings that the databases share.

pub(crate) mod candidates;
pub(crate) mod columns;
pub(crate) mod identity;
pub(crate) mod kinds;
pub(crate) mod schema;
pub(crate) mod selects;
