//! The browser's door: one origin that serves gRPC-Web, REST, server-sent events and the panel,
//! and speaks gRPC to a server like every other client.
//!
//! It judges no caller: the credential of a request is passed on, and the server decides. What
//! it does itself is what only a front door can: who may come from which page, how many
//! requests a client has at a time, and what a browser may do with the panel's files.

mod caller;
mod connections;
mod cut;
mod door;
pub mod flags;
mod grpc_web;
mod held;
mod metrics;
mod openapi;
pub mod ops;
mod panel;
mod refusal;
mod rest;
mod session;
mod settings;
mod upstream;

pub use door::Gateway;
pub use metrics::Metrics;
pub use panel::has_panel;
pub use settings::{Limits, Settings, SettingsError};
