//! The binaries from outside: a real server and a real fleet as processes, killed, stopped
//! and started again, and what their clients see meanwhile.

#![cfg(test)]

mod attempts;
mod backup;
mod bytes;
mod chaos;
mod cli;
mod cluster;
mod crash;
mod docs;
mod doctor;
mod drain;
mod faults;
mod fence;
mod flood;
mod format;
mod handlers;
mod harness;
mod history;
mod hostile;
mod identity;
mod indexed;
mod ingest;
mod kinds;
mod languages;
mod limits;
mod moving;
mod network;
mod ops;
mod outputs;
mod programs;
mod queue;
mod raw;
mod rebuild;
mod refusals;
mod registry;
mod relations;
mod summary;
mod tls;
mod update;
mod verbs;
mod walk;
mod watch;
