//! Statements on API keys and the audit log. There are few such rows, so each statement handles
//! one.

use sentinel_domain::{ApiKey, AuditEntry, JobId, KeyId, Millis};

use super::QueryFuture;

/// The statements. All statements of a transaction see the same state.
pub(crate) trait IdentityConnection: Send {
    /// Returns the number of changes to API keys.
    fn key_change_count(&mut self) -> impl QueryFuture<u64>;
    /// Increments that number. It locks the row, so concurrent changes run one after the other.
    fn increment_key_changes(&mut self) -> impl QueryFuture<()>;
    fn api_keys(&mut self) -> impl QueryFuture<Vec<ApiKey>>;
    fn insert_api_key(&mut self, key: &ApiKey) -> impl QueryFuture<()>;
    /// Revokes a key. One that is already revoked keeps its revocation time.
    fn revoke_api_key(&mut self, id: KeyId, at: Millis) -> impl QueryFuture<()>;
    /// Sets the time of the last use, unless a later one is recorded.
    fn touch_api_key(&mut self, id: KeyId, at: Millis) -> impl QueryFuture<()>;
    /// Deletes the keys that were revoked or expired before a time.
    fn delete_ended_api_keys(&mut self, before: Millis) -> impl QueryFuture<()>;
    /// Inserts an entry, unless it exists.
    fn insert_audit_entry(&mut self, entry: &AuditEntry) -> impl QueryFuture<()>;
    /// Reads the entries with an id lower than `below`, newest first.
    fn audit_entries(
        &mut self,
        below: Option<JobId>,
        limit: i64,
    ) -> impl QueryFuture<Vec<AuditEntry>>;
    /// Returns the entry that has exactly `newer` newer ones.
    fn nth_newest_audit_entry(&mut self, newer: i64) -> impl QueryFuture<Option<JobId>>;
    fn delete_audit_entries(&mut self, below: JobId) -> impl QueryFuture<()>;
}
