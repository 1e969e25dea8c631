//! The authenticated caller of an RPC.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use sentinel_domain::Scopes;
use sentinel_domain::limits::KEY_BYTES;
use sentinel_engine::IdempotencyKey;
use sentinel_store::content_hash;
use tonic::{Request, Status};

use super::api_keys::CachedKey;
use crate::service::status;

/// The authenticated caller of an RPC. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    /// `None` for a call without a key, which `credentials = off` allows.
    pub(super) key: Option<Arc<CachedKey>>,
    pub(super) peer: Option<IpAddr>,
    /// `Some` if the layer reads the notes after the call.
    pub(super) notes: Option<Arc<CallNotes>>,
}

/// What a handler reports to the layer.
#[derive(Debug, Default)]
pub(super) struct CallNotes {
    /// Whether the handler has read the scopes of the key.
    pub(super) has_read_scopes: AtomicBool,
    pub(super) audit: OnceLock<AuditDetails>,
}

/// The fields of an audit entry that only the handler knows.
#[derive(Debug)]
pub(super) struct AuditDetails {
    pub(super) target: String,
    pub(super) request_id: String,
    pub(super) on_behalf_of: String,
}

impl Caller {
    /// Returns the caller that the layer has attached to a request.
    ///
    /// # Errors
    /// CREDENTIAL_MISSING if the request did not pass through the layer.
    pub(crate) fn of<T>(request: &Request<T>) -> Result<Self, Status> {
        request.extensions().get::<Self>().cloned().ok_or_else(status::credential_missing)
    }

    /// Returns the queues that the caller may access. The layer takes a call of this as proof that
    /// the handler enforces them.
    pub(crate) fn scopes(&self) -> &Scopes {
        if let Some(notes) = &self.notes {
            notes.has_read_scopes.store(true, Ordering::Relaxed);
        }
        self.key.as_ref().map_or(&Scopes::ALL, |cached| &cached.key.scopes)
    }

    /// Returns the namespace of the caller's producer ids and request ids: `None` for a key that
    /// reaches all queues, else a hash of its scopes. Without it, a key could use the ids of
    /// another one and so suppress jobs of that key.
    pub(crate) fn namespace(&self) -> Option<u64> {
        let scopes = &self.key.as_ref()?.key.scopes;
        if scopes.is_all() {
            return None;
        }
        let mut patterns: Vec<&str> = scopes.patterns().iter().map(|name| &**name).collect();
        patterns.sort_unstable();
        // The names of queues have no comma.
        Some(content_hash(patterns.join(",").as_bytes()))
    }

    /// Prefixes a request id with the namespace of the caller.
    pub(crate) fn namespaced(&self, request: Option<IdempotencyKey>) -> Option<IdempotencyKey> {
        let Some(namespace) = self.namespace() else { return request };
        request.map(|key| IdempotencyKey { id: format!("{namespace:016x}/{}", key.id), ..key })
    }

    /// Returns the actor to record, given the actor that the request claims.
    pub(crate) fn actor<'a>(&'a self, claimed: &'a str) -> Cow<'a, str> {
        match &self.key {
            None => Cow::Borrowed(claimed),
            Some(cached) if claimed.is_empty() => Cow::Borrowed(&cached.key.name),
            Some(cached) => Cow::Owned(sentinel_domain::actor(&cached.key.name, claimed)),
        }
    }

    /// Sets the details of the audit entry of this call. Only the first call has an effect.
    pub(crate) fn set_audit_details(&self, target: &str, request_id: &str, on_behalf_of: &str) {
        if let Some(notes) = &self.notes {
            let [target, request_id, on_behalf_of] =
                [target, request_id, on_behalf_of].map(sanitized);
            let _ = notes.audit.set(AuditDetails { target, request_id, on_behalf_of });
        }
    }

    /// Waits until the caller's key expires or is revoked and returns the status that ends its
    /// streams.
    pub(crate) async fn key_ended(&self) -> Status {
        let Some(cached) = &self.key else { return std::future::pending().await };
        cached.ended().cancelled().await;
        status::credential_ended(cached.end_reason())
    }
}

/// Shortens a text of the caller to what an audit entry stores and replaces control characters,
/// which could imitate a log line.
fn sanitized(text: &str) -> String {
    let kept = &text[..text.floor_char_boundary(KEY_BYTES as usize)];
    kept.replace(char::is_control, " ")
}
