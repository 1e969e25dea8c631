//! The worker `sentinel-worker` with the built-in handlers. It is also a library, so that
//! `sentinel dev` can run the same handlers in the server's process.

mod clock;
pub mod demo;
pub mod exec;
pub mod flags;
pub mod http;
mod payload;

pub use demo::register;
pub use flags::Flags;
