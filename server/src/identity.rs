//! Authentication and authorization. One layer in front of all services turns a credential into a
//! `Caller`; the table in `rules` says which roles may call which RPC.
//!
//! The layer checks the role before the request is decoded. The queues of a request are only known
//! afterwards, so each handler checks them with its `Caller`. The layer replaces the response of a
//! handler that skips this check by an error.

mod access;
mod api_keys;
mod audit_log;
mod caller;
mod credential;
mod dev_token;
mod layer;
mod rules;

pub(crate) use access::SplitIds;
pub(crate) use api_keys::{ApiKeys, CreateKeyError, create as create_api_key};
pub(crate) use audit_log::AuditLog;
pub(crate) use caller::Caller;
pub use credential::Credential;
pub(crate) use dev_token::write as write_dev_token;
pub(crate) use layer::AuthLayer;
pub use rules::to_markdown;

#[cfg(test)]
mod tests;
