//! Keys and the audit trail: a few rows that people change, so each statement is one row.

use sentinel_domain::{ApiKey, AuditEntry, JobId, KeyId, Millis};

use super::Answer;

/// The statements. All of a transaction see and make one state.
pub(crate) trait IdentityRows: Send {
    /// How often keys changed.
    fn key_changes(&mut self) -> impl Answer<u64>;
    /// Counts a change. Two at the same time wait for each other from here on.
    fn count_change(&mut self) -> impl Answer<()>;
    fn keys(&mut self) -> impl Answer<Vec<ApiKey>>;
    fn put_key(&mut self, key: &ApiKey) -> impl Answer<()>;
    /// Leaves one that is revoked as it is.
    fn revoke(&mut self, id: KeyId, at: Millis) -> impl Answer<()>;
    /// Never sets it back.
    fn touch(&mut self, id: KeyId, at: Millis) -> impl Answer<()>;
    /// Deletes keys that ended before a time.
    fn drop_ended(&mut self, before: Millis) -> impl Answer<()>;
    /// Leaves one that is there as it is.
    fn put_audit(&mut self, entry: &AuditEntry) -> impl Answer<()>;
    /// The newest first, below an id.
    fn audit(&mut self, below: Option<JobId>, limit: i64) -> impl Answer<Vec<AuditEntry>>;
    /// The entry that so many newer ones follow.
    fn nth_audit(&mut self, newer: i64) -> impl Answer<Option<JobId>>;
    fn drop_audit(&mut self, below: JobId) -> impl Answer<()>;
}
