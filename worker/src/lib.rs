//! The fleet: a worker process with the built-in `demo.*` handlers. A library too, so that
//! `sentinel dev` can run the same fleet inside the server's process.

pub mod demo;
pub mod flags;
mod payload;

pub use demo::register;
pub use flags::Flags;
