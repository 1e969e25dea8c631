//! ApiKeySnapshot and the audit trail.

use sentinel_domain::limits::{AUDIT_RETENTION_MS, KEY_RETENTION_MS, PAGE_MAX};
use sentinel_domain::{ApiKey, AuditEntry, JobId, KeyId, Millis};

use crate::rows::IdentityRows;
use crate::sql::Fault;
use crate::{PutKeyResult, ApiKeySnapshot};

/// All keys, unless nothing changed since `known`.
pub(crate) async fn keys<R: IdentityRows>(
    rows: &mut R,
    known: Option<u64>,
) -> Result<Option<ApiKeySnapshot>, Fault> {
    // Before the rows: what changes in between is read again.
    let seq = rows.key_changes().await?;
    if known == Some(seq) {
        return Ok(None);
    }
    Ok(Some(ApiKeySnapshot { seq, keys: rows.keys().await? }))
}

/// Adds a key, if there is room. Those that ended long ago make some.
pub(crate) async fn put_key<R: IdentityRows>(
    rows: &mut R,
    key: &ApiKey,
    max: u64,
) -> Result<PutKeyResult, Fault> {
    // First, since it locks: two that count at the same time would both find room.
    rows.count_change().await?;
    rows.drop_ended(key.created_at - KEY_RETENTION_MS.cast_signed()).await?;
    let there = rows.keys().await?;
    if there.iter().any(|one| one.id == key.id) {
        return Ok(PutKeyResult::IdTaken);
    }
    if there.len() as u64 >= max {
        return Ok(PutKeyResult::Full);
    }
    rows.put_key(key).await?;
    Ok(PutKeyResult::Added)
}

/// Revokes a key; answers it as it is then.
pub(crate) async fn revoke_key<R: IdentityRows>(
    rows: &mut R,
    id: KeyId,
    at: Millis,
) -> Result<Option<ApiKey>, Fault> {
    rows.count_change().await?;
    rows.revoke(id, at).await?;
    Ok(rows.keys().await?.into_iter().find(|key| key.id == id))
}

/// Notes when keys were used last.
pub(crate) async fn touch_keys<R: IdentityRows>(
    rows: &mut R,
    used: &[(KeyId, Millis)],
) -> Result<(), Fault> {
    for (id, at) in used {
        rows.touch(*id, *at).await?;
    }
    Ok(())
}

/// Adds entries; a repeat adds nothing. The oldest go.
pub(crate) async fn put_audit<R: IdentityRows>(
    rows: &mut R,
    entries: &[AuditEntry],
) -> Result<(), Fault> {
    for entry in entries {
        rows.put_audit(entry).await?;
    }
    if let Some(newest) = entries.last() {
        let oldest = newest.id.created_at() - AUDIT_RETENTION_MS.cast_signed();
        if let Ok(oldest) = u128::try_from(oldest) {
            rows.drop_audit(JobId::from_u128(oldest << 80)).await?;
        }
    }
    Ok(())
}

/// Leaves the newest entries.
pub(crate) async fn trim_audit<R: IdentityRows>(rows: &mut R, max: u64) -> Result<(), Fault> {
    match rows.nth_audit(max.saturating_sub(1).cast_signed()).await? {
        Some(oldest) => rows.drop_audit(oldest).await,
        None => Ok(()),
    }
}

/// A page of entries, the newest first.
pub(crate) async fn audit<R: IdentityRows>(
    rows: &mut R,
    below: Option<JobId>,
    limit: usize,
) -> Result<Vec<AuditEntry>, Fault> {
    rows.audit(below, limit.clamp(1, PAGE_MAX as usize + 1) as i64).await
}
