//! The binaries from outside: a real server and a real fleet as processes, killed, stopped
//! and started again, and what their clients see meanwhile.

#![cfg(test)]

mod attempts;
mod backup;
mod chaos;
mod cli;
mod crash;
mod drain;
mod faults;
mod flood;
mod format;
mod harness;
mod history;
mod network;
mod ops;
mod programs;
mod refusals;
mod relations;
mod walk;
mod watch;
