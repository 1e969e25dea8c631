//! The thin edge: decode, call the engine, encode. No branch on business state.

mod from_wire;
#[cfg(test)]
mod fuzz;
mod job;
mod queue;
pub mod status;
mod to_wire;
mod watch;
mod worker;

pub use job::Jobs;
pub use queue::QueuesService;
pub use worker::Workers;
