//! The gateway for browsers: serves gRPC-Web, REST, server-sent events and the panel on one
//! origin, and speaks gRPC to a server like every other client.
//!
//! The gateway does not authorize callers: it passes their credential on and the server decides.
//! It enforces only what concerns HTTP: allowed hosts and origins, limits per client, and the
//! content security policy of the panel.

mod admission;
mod connections;
mod error;
mod error_trailers;
pub mod flags;
mod grpc_web;
mod guarded_body;
mod key_check;
mod metrics;
mod openapi;
pub mod ops;
mod origin;
mod panel;
mod protocol;
mod request_body;
mod rest;
mod router;
mod session;
mod settings;
mod upstream;

pub use metrics::Metrics;
pub use panel::has_panel;
pub use router::Gateway;
pub use settings::{Limits, Settings, SettingsError};
