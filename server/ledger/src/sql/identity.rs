//! The statements on API keys and the audit log, written once for both databases: only the
//! connection type and the `await` differ.

use sentinel_domain::{ApiKey, AuditEntry, JobId, KeyId, Millis, Role, Scopes};

use super::columns::decode_id;
use crate::database_error::DatabaseError;

/// A row of `api_keys`.
pub(crate) type KeyRow = (
    i64,
    Vec<u8>,
    String,
    i32,
    String,
    Millis,
    String,
    Option<Millis>,
    Option<Millis>,
    Option<Millis>,
);

/// A row of `audit`.
pub(crate) type AuditRow = (Vec<u8>, String, Option<i64>, String, String, String, String, String);

pub(crate) const fn role_code(role: Role) -> i32 {
    match role {
        Role::Viewer => 1,
        Role::Operator => 2,
        Role::Admin => 3,
        Role::Producer => 4,
        Role::Worker => 5,
    }
}

fn decode_role(code: i32) -> Result<Role, DatabaseError> {
    let found = Role::ALL.into_iter().find(|role| role_code(*role) == code);
    found.ok_or_else(|| DatabaseError::Damaged(format!("an API key has the unknown role {code}")))
}

/// Encodes queue patterns, separated by spaces. A pattern contains no space.
pub(crate) fn encode_scopes(scopes: &Scopes) -> String {
    scopes.patterns().iter().map(|pattern| &**pattern).collect::<Vec<_>>().join(" ")
}

pub(crate) fn decode_key(row: KeyRow) -> Result<ApiKey, DatabaseError> {
    let (id, hash, name, role, queues, created_at, created_by, expires_at, revoked_at, used) = row;
    let bytes = hash.len();
    Ok(ApiKey {
        id: KeyId(id.cast_unsigned()),
        secret_hash: hash.try_into().map_err(|_| {
            DatabaseError::Damaged(format!("the hash of an API key has {bytes} bytes, not 32"))
        })?,
        name: name.into(),
        role: decode_role(role)?,
        scopes: Scopes::new(queues.split_whitespace().map(Into::into)),
        created_at,
        created_by,
        expires_at,
        revoked_at,
        last_used_at: used,
    })
}

pub(crate) fn decode_audit_entry(row: AuditRow) -> Result<AuditEntry, DatabaseError> {
    let (id, actor, key, action, target, peer, request_id, outcome) = row;
    let id = decode_id(&id)?;
    let key = key.map(|key| KeyId(key.cast_unsigned()));
    Ok(AuditEntry { id, actor, key, action, target, peer, request_id, outcome })
}

pub(crate) fn decode_first_id(ids: &[Vec<u8>]) -> Result<Option<JobId>, DatabaseError> {
    ids.first().map(|id| decode_id(id)).transpose()
}

/// Implements [`crate::connection::identity::IdentityConnection`]. `$await` is `await` if the
/// connection is asynchronous.
macro_rules! impl_identity_connection {
    ($type:ty, |$conn:ident| $connection:expr $(, $await:tt)?) => {
        impl IdentityConnection for $type {
            async fn key_change_count(&mut self) -> Result<u64, DatabaseError> {
                let $conn = self;
                let seq: i64 = key_changes::table
                    .select(key_changes::seq)
                    .filter(key_changes::shard.eq(0))
                    .get_result($connection)$(.$await)??;
                Ok(seq.cast_unsigned())
            }

            async fn increment_key_changes(&mut self) -> Result<(), DatabaseError> {
                let $conn = self;
                diesel::update(key_changes::table.filter(key_changes::shard.eq(0)))
                    .set(key_changes::seq.eq(key_changes::seq + 1))
                    .execute($connection)$(.$await)??;
                Ok(())
            }

            async fn api_keys(&mut self) -> Result<Vec<ApiKey>, DatabaseError> {
                let $conn = self;
                let rows: Vec<KeyRow> = api_keys::table.load($connection)$(.$await)??;
                rows.into_iter().map(decode_key).collect()
            }

            async fn insert_api_key(&mut self, key: &ApiKey) -> Result<(), DatabaseError> {
                let $conn = self;
                let row = (
                    api_keys::id.eq(key.id.0.cast_signed()),
                    api_keys::secret_hash.eq(&key.secret_hash[..]),
                    api_keys::name.eq(&*key.name),
                    api_keys::role.eq(role_code(key.role)),
                    api_keys::queues.eq(encode_scopes(&key.scopes)),
                    api_keys::created_at_ms.eq(key.created_at),
                    api_keys::created_by.eq(&key.created_by),
                    api_keys::expires_at_ms.eq(key.expires_at),
                    api_keys::revoked_at_ms.eq(key.revoked_at),
                    api_keys::last_used_at_ms.eq(key.last_used_at),
                );
                diesel::insert_into(api_keys::table)
                    .values(row)
                    .execute($connection)$(.$await)??;
                Ok(())
            }

            async fn revoke_api_key(&mut self, id: KeyId, at: Millis) -> Result<(), DatabaseError> {
                let $conn = self;
                let target = api_keys::table
                    .filter(api_keys::id.eq(id.0.cast_signed()))
                    .filter(api_keys::revoked_at_ms.is_null());
                diesel::update(target)
                    .set(api_keys::revoked_at_ms.eq(at))
                    .execute($connection)$(.$await)??;
                Ok(())
            }

            async fn touch_api_key(&mut self, id: KeyId, at: Millis) -> Result<(), DatabaseError> {
                let $conn = self;
                let is_later =
                    api_keys::last_used_at_ms.is_null().or(api_keys::last_used_at_ms.lt(at));
                let target = api_keys::table
                    .filter(api_keys::id.eq(id.0.cast_signed()))
                    .filter(is_later);
                diesel::update(target)
                    .set(api_keys::last_used_at_ms.eq(at))
                    .execute($connection)$(.$await)??;
                Ok(())
            }

            async fn delete_ended_api_keys(&mut self, before: Millis) -> Result<(), DatabaseError> {
                let $conn = self;
                let has_ended =
                    api_keys::revoked_at_ms.lt(before).or(api_keys::expires_at_ms.lt(before));
                diesel::delete(api_keys::table.filter(has_ended))
                    .execute($connection)$(.$await)??;
                Ok(())
            }

            async fn insert_audit_entry(
                &mut self,
                entry: &AuditEntry,
            ) -> Result<(), DatabaseError> {
                let $conn = self;
                let id = id_bytes(entry.id);
                let row = (
                    audit::id.eq(&id[..]),
                    audit::actor.eq(&entry.actor),
                    audit::key_id.eq(entry.key.map(|key| key.0.cast_signed())),
                    audit::action.eq(&entry.action),
                    audit::target.eq(&entry.target),
                    audit::peer.eq(&entry.peer),
                    audit::request_id.eq(&entry.request_id),
                    audit::outcome.eq(&entry.outcome),
                );
                diesel::insert_or_ignore_into(audit::table)
                    .values(row)
                    .execute($connection)$(.$await)??;
                Ok(())
            }

            async fn audit_entries(
                &mut self,
                below: Option<JobId>,
                limit: i64,
            ) -> Result<Vec<AuditEntry>, DatabaseError> {
                let $conn = self;
                let below = id_bytes(below.unwrap_or(JobId::from_u128(u128::MAX)));
                let rows: Vec<AuditRow> = audit::table
                    .filter(audit::id.lt(&below[..]))
                    .order(audit::id.desc())
                    .limit(limit)
                    .load($connection)$(.$await)??;
                rows.into_iter().map(decode_audit_entry).collect()
            }

            async fn nth_newest_audit_entry(
                &mut self,
                newer: i64,
            ) -> Result<Option<JobId>, DatabaseError> {
                let $conn = self;
                let ids: Vec<Vec<u8>> = audit::table
                    .select(audit::id)
                    .order(audit::id.desc())
                    .limit(1)
                    .offset(newer)
                    .load($connection)$(.$await)??;
                $crate::sql::identity::decode_first_id(&ids)
            }

            async fn delete_audit_entries(&mut self, below: JobId) -> Result<(), DatabaseError> {
                let $conn = self;
                let below = id_bytes(below);
                diesel::delete(audit::table.filter(audit::id.lt(&below[..])))
                    .execute($connection)$(.$await)??;
                Ok(())
            }
        }
    };
}

pub(crate) use impl_identity_connection;
