//! The server: configuration, assembly, thin gRPC services and the client verbs. Rules of
//! a job's life are in `sentinel-domain`, use-cases in `sentinel-engine`.

pub mod assembly;
mod backup;
pub mod cli;
pub mod config;
mod doctor;
pub mod identity;
mod listener;
pub mod metrics;
mod moving;
mod observe;
pub mod ops;
mod rebuild;
pub mod service;
pub mod telemetry;
mod tls;
