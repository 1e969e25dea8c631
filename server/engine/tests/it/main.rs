//! The engine on a real store and a real ledger, with workers that are scripted frame by
//! frame.

mod ack;
mod batch;
mod cancel;
mod checkpoint;
mod dependency;
mod drain;
mod enqueue;
mod finals;
mod fuzz;
mod hello;
mod house;
mod lost;
mod progress;
mod report;
mod request;
mod retain;
mod servers;
mod sim;
mod walk;
mod watch;
mod watch_walk;
mod worker;
