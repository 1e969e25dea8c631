//! API keys and the audit log, on every backend.

use sentinel_domain::limits::{AUDIT_RETENTION_MS, KEY_RETENTION_MS};
use sentinel_domain::{ApiKey, AuditEntry, JobId, KeyId, Millis, Role, Scopes};
use sentinel_ledger::PutKeyResult;

use crate::backend::{BackendKind, fresh_ledger, on_every_backend};

const NOW: Millis = 1_790_000_000_000;

on_every_backend!(
    stored_api_keys_are_read_back_unchanged,
    a_revocation_is_visible_to_other_servers,
    ended_api_keys_are_deleted_after_their_retention,
    the_audit_log_is_paged_and_old_entries_are_deleted,
    trimming_the_audit_log_keeps_the_newest_entries,
);

fn key(id: u64) -> ApiKey {
    ApiKey {
        id: KeyId(id),
        secret_hash: [id.to_le_bytes()[0]; 32],
        name: "shop".into(),
        role: Role::Producer,
        scopes: Scopes::new(["mail".into(), "shop.*".into()]),
        created_at: NOW,
        created_by: "root".into(),
        expires_at: Some(NOW + 5),
        revoked_at: None,
        last_used_at: None,
    }
}

async fn stored_api_keys_are_read_back_unchanged(backend: BackendKind) {
    let (database, ledger) = fresh_ledger(backend).await;
    let mut kept = Vec::new();
    for (id, role) in [0, 1, 1 << 63, u64::MAX, 7].into_iter().zip(Role::ALL) {
        let scopes = if id == 0 { Scopes::ALL } else { key(id).scopes };
        let one = ApiKey { role, scopes, expires_at: None, ..key(id) };
        assert_eq!(ledger.put_api_key(one.clone()).await, Ok(PutKeyResult::Added));
        kept.push(one);
    }
    assert_eq!(ledger.put_api_key(key(7)).await, Ok(PutKeyResult::IdTaken));
    kept.sort_by_key(|one| one.id);
    let found = database.open().await.api_keys(None).await.expect("keys").expect("some");
    let mut keys = found.keys;
    keys.sort_by_key(|one| one.id);
    assert_eq!(keys, kept);
}

async fn a_revocation_is_visible_to_other_servers(backend: BackendKind) {
    let (database, ledger) = fresh_ledger(backend).await;
    let other = database.open().await;
    ledger.put_api_key(key(1)).await.expect("put");
    let known = other.api_keys(None).await.expect("keys").expect("all").seq;
    assert_eq!(other.api_keys(Some(known)).await, Ok(None));
    // Recording a use is not a change that other servers must load.
    ledger.touch_api_keys(vec![(KeyId(1), NOW + 9)]).await.expect("recorded");
    ledger.touch_api_keys(vec![(KeyId(1), NOW + 8)]).await.expect("recorded");
    assert_eq!(other.api_keys(Some(known)).await, Ok(None));
    let revoked = ledger.revoke_api_key(KeyId(1), NOW + 1).await.expect("revoked").expect("there");
    assert_eq!((revoked.revoked_at, revoked.last_used_at), (Some(NOW + 1), Some(NOW + 9)));
    let again = ledger.revoke_api_key(KeyId(1), NOW + 2).await.expect("revoked").expect("there");
    assert_eq!(again.revoked_at, Some(NOW + 1), "the first revocation is kept");
    assert_eq!(ledger.revoke_api_key(KeyId(2), NOW).await, Ok(None));
    let changed = other.api_keys(Some(known)).await.expect("keys").expect("changed");
    assert_eq!(changed.keys, [revoked]);
}

async fn ended_api_keys_are_deleted_after_their_retention(backend: BackendKind) {
    let (_database, ledger) = fresh_ledger(backend).await;
    let ended_at = NOW - KEY_RETENTION_MS.cast_signed();
    let expired = ApiKey { created_at: 1, expires_at: Some(ended_at - 1), ..key(1) };
    let kept = ApiKey { created_at: 1, expires_at: Some(ended_at), ..key(2) };
    let new = ApiKey { expires_at: None, ..key(3) };
    for one in [expired, kept.clone(), new.clone()] {
        assert_eq!(ledger.put_api_key(one).await, Ok(PutKeyResult::Added));
    }
    let mut keys = ledger.api_keys(None).await.expect("keys").expect("all").keys;
    keys.sort_by_key(|one| one.id);
    assert_eq!(keys, [kept, new]);
}

fn entry(at: Millis, number: u64) -> AuditEntry {
    AuditEntry {
        id: JobId::new(at, 0, number),
        actor: "ann".into(),
        key: Some(KeyId(u64::MAX)),
        action: "sentinel.jobs.v1.JobService/Cancel".into(),
        target: format!("job {number}"),
        peer: "10.0.0.1".into(),
        request_id: String::new(),
        outcome: "OK".into(),
    }
}

async fn trimming_the_audit_log_keeps_the_newest_entries(backend: BackendKind) {
    let (_database, ledger) = fresh_ledger(backend).await;
    let all: Vec<_> = (0_u64..5).map(|n| entry(NOW + n.cast_signed(), n)).collect();
    ledger.append_audit(all.clone()).await.expect("written");
    for max in [6, 5] {
        ledger.trim_audit(max).await.expect("trimmed");
        assert_eq!(ledger.list_audit(None, 9).await.expect("a page").len(), 5);
    }
    ledger.trim_audit(3).await.expect("trimmed");
    let left = ledger.list_audit(None, 9).await.expect("a page");
    assert_eq!(left, [all[4].clone(), all[3].clone(), all[2].clone()]);
}

async fn the_audit_log_is_paged_and_old_entries_are_deleted(backend: BackendKind) {
    let (_database, ledger) = fresh_ledger(backend).await;
    let old = entry(NOW - AUDIT_RETENTION_MS.cast_signed() - 1, 1);
    ledger.append_audit(vec![old.clone()]).await.expect("written");
    assert_eq!(ledger.list_audit(None, 5).await, Ok(vec![old]));
    let new: Vec<_> = (0_u64..5).map(|n| entry(NOW + n.cast_signed(), n)).collect();
    ledger.append_audit(new.clone()).await.expect("written");
    // The response was lost, and the writer repeats the call.
    ledger.append_audit(new.clone()).await.expect("written");
    let page = ledger.list_audit(None, 3).await.expect("a page");
    assert_eq!(page, [new[4].clone(), new[3].clone(), new[2].clone()]);
    let rest = ledger.list_audit(Some(page[2].id), 9).await.expect("a page");
    assert_eq!(rest, [new[1].clone(), new[0].clone()], "the oldest is deleted");
}
