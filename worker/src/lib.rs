//! The fleet: a worker process with the built-in handlers. A library too, so that
//! `sentinel dev` can run the same fleet inside the server's process.

mod clock;
pub mod demo;
pub mod exec;
pub mod flags;
pub mod http;
mod payload;

pub use demo::register;
pub use flags::Flags;
