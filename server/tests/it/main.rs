//! The binaries from outside: a real server and a real fleet as processes, killed, stopped
//! and started again, and what their clients see meanwhile.

#![cfg(test)]

mod attempts;
mod backup;
mod cli;
mod crash;
mod drain;
mod faults;
mod format;
mod harness;
mod history;
mod ops;
mod programs;
mod refusals;
mod relations;
mod walk;
mod watch;
