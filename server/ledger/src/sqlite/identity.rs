//! Statements on API keys and the audit log on SQLite.

use diesel::SqliteConnection;
use diesel::prelude::*;
use sentinel_domain::{ApiKey, AuditEntry, JobId, KeyId, Millis};

use crate::connection::identity::IdentityConnection;
use crate::database_error::DatabaseError;
use crate::sql::columns::id_bytes;
use crate::sql::identity::{
    AuditRow, KeyRow, decode_audit_entry, decode_key, encode_scopes, impl_identity_connection,
    role_code,
};
use crate::sql::schema::{api_keys, audit, key_changes};

impl_identity_connection!(SqliteConnection, |conn| conn);
