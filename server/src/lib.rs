//! The Sentinel server: configuration, assembly, gRPC services and the command line. The rules
//! of jobs are in `sentinel-domain`, the use cases in `sentinel-engine`.

pub mod assembly;
mod backup;
pub mod cli;
pub mod config;
mod data_dir;
mod doctor;
pub mod identity;
mod import;
mod listener;
pub mod metrics;
mod observer;
pub mod ops;
mod rebuild;
pub mod service;
pub mod telemetry;
mod tls;
