//! API keys and the audit log.

use sentinel_domain::limits::{AUDIT_RETENTION_MS, KEY_RETENTION_MS, KEYS_MAX, PAGE_MAX};
use sentinel_domain::{ApiKey, AuditEntry, JobId, KeyId, Millis};

use crate::connection::identity::IdentityConnection;
use crate::database_error::DatabaseError;
use crate::error::LedgerError;
use crate::ledger::{Ledger, with_conn};
use crate::types::identity::{ApiKeySnapshot, PutKeyResult};

impl Ledger {
    /// Returns all API keys; `None` if nothing changed since [`ApiKeySnapshot::seq`] was `known`.
    ///
    /// # Errors
    /// Only those of the database.
    pub async fn api_keys(
        &self,
        known: Option<u64>,
    ) -> Result<Option<ApiKeySnapshot>, LedgerError> {
        with_conn!(self.history.read, |conn| async {
            // Before the keys: a change in between is then read again by the next call.
            let seq = conn.key_change_count().await?;
            if known == Some(seq) {
                return Ok(None);
            }
            Ok(Some(ApiKeySnapshot { seq, keys: conn.api_keys().await? }))
        })
    }

    /// Adds an API key.
    ///
    /// # Errors
    /// Only those of the database.
    pub async fn put_api_key(&self, key: ApiKey) -> Result<PutKeyResult, LedgerError> {
        with_conn!(self.history.write, |conn| put_api_key(conn, &key, KEYS_MAX))
    }

    /// Revokes an API key, unless it is already revoked, and returns it; `None` if it does not
    /// exist.
    ///
    /// # Errors
    /// Only those of the database.
    pub async fn revoke_api_key(
        &self,
        id: KeyId,
        at: Millis,
    ) -> Result<Option<ApiKey>, LedgerError> {
        with_conn!(self.history.write, |conn| async {
            conn.increment_key_changes().await?;
            conn.revoke_api_key(id, at).await?;
            Ok(conn.api_keys().await?.into_iter().find(|key| key.id == id))
        })
    }

    /// Records when API keys were last used.
    ///
    /// # Errors
    /// Only those of the database.
    pub async fn touch_api_keys(&self, used: Vec<(KeyId, Millis)>) -> Result<(), LedgerError> {
        with_conn!(self.history.write, |conn| async {
            for (id, at) in &used {
                conn.touch_api_key(*id, *at).await?;
            }
            Ok(())
        })
    }

    /// Appends entries to the audit log and deletes those that are too old. Entries that exist
    /// are ignored.
    ///
    /// # Errors
    /// Only those of the database.
    pub async fn append_audit(&self, entries: Vec<AuditEntry>) -> Result<(), LedgerError> {
        with_conn!(self.history.write, |conn| async {
            for entry in &entries {
                conn.insert_audit_entry(entry).await?;
            }
            if let Some(newest) = entries.last() {
                let oldest = newest.id.created_at() - AUDIT_RETENTION_MS.cast_signed();
                if let Ok(oldest) = u128::try_from(oldest) {
                    conn.delete_audit_entries(JobId::from_u128(oldest << 80)).await?;
                }
            }
            Ok(())
        })
    }

    /// Deletes all entries of the audit log except the `max` newest ones.
    ///
    /// # Errors
    /// Only those of the database.
    pub async fn trim_audit(&self, max: u64) -> Result<(), LedgerError> {
        with_conn!(self.history.write, |conn| async {
            match conn.nth_newest_audit_entry(max.saturating_sub(1).cast_signed()).await? {
                Some(oldest) => conn.delete_audit_entries(oldest).await,
                None => Ok(()),
            }
        })
    }

    /// Returns the entries of the audit log with an id lower than `below`, newest first.
    ///
    /// # Errors
    /// Only those of the database.
    pub async fn list_audit(
        &self,
        below: Option<JobId>,
        limit: usize,
    ) -> Result<Vec<AuditEntry>, LedgerError> {
        let limit = limit.clamp(1, PAGE_MAX as usize + 1) as i64;
        with_conn!(self.history.read, |conn| conn.audit_entries(below, limit))
    }
}

/// Adds a key, if there are fewer than `max` after keys that ended long ago are deleted.
pub(crate) async fn put_api_key<C: IdentityConnection>(
    conn: &mut C,
    key: &ApiKey,
    max: u64,
) -> Result<PutKeyResult, DatabaseError> {
    // First, because it locks: otherwise two concurrent calls could both find the last free slot.
    conn.increment_key_changes().await?;
    conn.delete_ended_api_keys(key.created_at - KEY_RETENTION_MS.cast_signed()).await?;
    let keys = conn.api_keys().await?;
    if keys.iter().any(|existing| existing.id == key.id) {
        return Ok(PutKeyResult::IdTaken);
    }
    if keys.len() as u64 >= max {
        return Ok(PutKeyResult::Full);
    }
    conn.insert_api_key(key).await?;
    Ok(PutKeyResult::Added)
}
