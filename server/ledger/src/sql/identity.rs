//! The statements about keys and the audit trail, once for both databases: they are plain
//! enough that only the way to the connection differs.

use sentinel_domain::{ApiKey, AuditEntry, JobId, KeyId, Millis, Role, Scopes};

use super::{Fault, job_id};

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

fn to_role(code: i32) -> Result<Role, Fault> {
    let found = Role::ALL.into_iter().find(|role| role_code(*role) == code);
    found.ok_or_else(|| Fault::Damaged(format!("a key has the role {code}")))
}

/// The patterns as their column holds them: none of them has a space within.
pub(crate) fn queues_text(scopes: &Scopes) -> String {
    scopes.patterns().iter().map(|one| &**one).collect::<Vec<_>>().join(" ")
}

pub(crate) fn key_of(row: KeyRow) -> Result<ApiKey, Fault> {
    let (id, hash, name, role, queues, created_at, created_by, expires_at, revoked_at, used) = row;
    let bytes = hash.len();
    Ok(ApiKey {
        id: KeyId(id.cast_unsigned()),
        secret_hash: hash
            .try_into()
            .map_err(|_| Fault::Damaged(format!("a hash of {bytes} bytes")))?,
        name: name.into(),
        role: to_role(role)?,
        scopes: Scopes::new(queues.split_whitespace().map(Into::into)),
        created_at,
        created_by,
        expires_at,
        revoked_at,
        last_used_at: used,
    })
}

pub(crate) fn entry_of(row: AuditRow) -> Result<AuditEntry, Fault> {
    let (id, actor, key, action, target, peer, request_id, outcome) = row;
    let id = job_id(&id)?;
    let key = key.map(|key| KeyId(key.cast_unsigned()));
    Ok(AuditEntry { id, actor, key, action, target, peer, request_id, outcome })
}

pub(crate) fn first_id(ids: &[Vec<u8>]) -> Result<Option<JobId>, Fault> {
    ids.first().map(|id| job_id(id)).transpose()
}

/// Carries the statements out on a connection. `$wait` is `await` where there is a way to it.
macro_rules! identity_rows {
    ($home:ty, |$rows:ident| $connection:expr $(, $wait:tt)?) => {
        impl IdentityRows for $home {
            async fn key_changes(&mut self) -> Result<u64, Fault> {
                let $rows = self;
                let seq: i64 = key_changes::table
                    .select(key_changes::seq)
                    .filter(key_changes::shard.eq(0))
                    .get_result($connection)$(.$wait)??;
                Ok(seq.cast_unsigned())
            }

            async fn count_change(&mut self) -> Result<(), Fault> {
                let $rows = self;
                diesel::update(key_changes::table.filter(key_changes::shard.eq(0)))
                    .set(key_changes::seq.eq(key_changes::seq + 1))
                    .execute($connection)$(.$wait)??;
                Ok(())
            }

            async fn keys(&mut self) -> Result<Vec<ApiKey>, Fault> {
                let $rows = self;
                let rows: Vec<KeyRow> = api_keys::table.load($connection)$(.$wait)??;
                rows.into_iter().map(key_of).collect()
            }

            async fn put_key(&mut self, key: &ApiKey) -> Result<(), Fault> {
                let $rows = self;
                let row = (
                    api_keys::id.eq(key.id.0.cast_signed()),
                    api_keys::secret_hash.eq(&key.secret_hash[..]),
                    api_keys::name.eq(&*key.name),
                    api_keys::role.eq(role_code(key.role)),
                    api_keys::queues.eq(queues_text(&key.scopes)),
                    api_keys::created_at_ms.eq(key.created_at),
                    api_keys::created_by.eq(&key.created_by),
                    api_keys::expires_at_ms.eq(key.expires_at),
                    api_keys::revoked_at_ms.eq(key.revoked_at),
                    api_keys::last_used_at_ms.eq(key.last_used_at),
                );
                diesel::insert_into(api_keys::table)
                    .values(row)
                    .execute($connection)$(.$wait)??;
                Ok(())
            }

            async fn revoke(&mut self, id: KeyId, at: Millis) -> Result<(), Fault> {
                let $rows = self;
                let of = api_keys::table
                    .filter(api_keys::id.eq(id.0.cast_signed()))
                    .filter(api_keys::revoked_at_ms.is_null());
                diesel::update(of)
                    .set(api_keys::revoked_at_ms.eq(at))
                    .execute($connection)$(.$wait)??;
                Ok(())
            }

            async fn touch(&mut self, id: KeyId, at: Millis) -> Result<(), Fault> {
                let $rows = self;
                let is_later =
                    api_keys::last_used_at_ms.is_null().or(api_keys::last_used_at_ms.lt(at));
                let of = api_keys::table
                    .filter(api_keys::id.eq(id.0.cast_signed()))
                    .filter(is_later);
                diesel::update(of)
                    .set(api_keys::last_used_at_ms.eq(at))
                    .execute($connection)$(.$wait)??;
                Ok(())
            }

            async fn drop_ended(&mut self, before: Millis) -> Result<(), Fault> {
                let $rows = self;
                let is_over =
                    api_keys::revoked_at_ms.lt(before).or(api_keys::expires_at_ms.lt(before));
                diesel::delete(api_keys::table.filter(is_over))
                    .execute($connection)$(.$wait)??;
                Ok(())
            }

            async fn put_audit(&mut self, entry: &AuditEntry) -> Result<(), Fault> {
                let $rows = self;
                let id = key(entry.id);
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
                    .execute($connection)$(.$wait)??;
                Ok(())
            }

            async fn audit(
                &mut self,
                below: Option<JobId>,
                limit: i64,
            ) -> Result<Vec<AuditEntry>, Fault> {
                let $rows = self;
                let below = key(below.unwrap_or(JobId::from_u128(u128::MAX)));
                let rows: Vec<AuditRow> = audit::table
                    .filter(audit::id.lt(&below[..]))
                    .order(audit::id.desc())
                    .limit(limit)
                    .load($connection)$(.$wait)??;
                rows.into_iter().map(entry_of).collect()
            }

            async fn nth_audit(&mut self, newer: i64) -> Result<Option<JobId>, Fault> {
                let $rows = self;
                let ids: Vec<Vec<u8>> = audit::table
                    .select(audit::id)
                    .order(audit::id.desc())
                    .limit(1)
                    .offset(newer)
                    .load($connection)$(.$wait)??;
                $crate::sql::identity::first_id(&ids)
            }

            async fn drop_audit(&mut self, below: JobId) -> Result<(), Fault> {
                let $rows = self;
                let below = key(below);
                diesel::delete(audit::table.filter(audit::id.lt(&below[..])))
                    .execute($connection)$(.$wait)??;
                Ok(())
            }
        }
    };
}

pub(crate) use identity_rows;
