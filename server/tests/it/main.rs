//! End-to-end tests: the real server and worker binaries run as child processes. The tests kill,
//! stop and restart them and check what clients observe.

#![cfg(test)]

mod assignment_bytes;
mod attempts;
mod backup;
mod chaos;
mod cli;
mod client_methods;
mod cluster;
mod crash;
mod disk_faults;
mod docs;
mod doctor;
mod drain;
mod examples;
mod fencing;
mod flood;
mod grpc_clients;
mod handlers;
mod harness;
mod history;
mod hostile;
mod identity;
mod import;
mod index_paths;
mod ingest;
mod kinds;
mod languages;
mod lifecycle;
mod limits;
mod network;
mod ops;
mod outputs;
mod private_files;
mod queue;
mod queue_summary;
mod raw;
mod rebuild;
mod scheduling;
mod stored_formats;
mod tls;
mod update;
mod validation;
mod watch;
mod worker_registry;
