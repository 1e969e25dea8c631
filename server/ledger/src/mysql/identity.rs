//! Keys and the audit trail on a database server.

use diesel::prelude::{BoolExpressionMethods, ExpressionMethods, QueryDsl};
use diesel_async::RunQueryDsl;
use sentinel_domain::{ApiKey, AuditEntry, JobId, KeyId, Millis};

use super::session::Session;
use crate::rows::IdentityRows;
use crate::sql::identity::{
    AuditRow, KeyRow, entry_of, identity_rows, key_of, queues_text, role_code,
};
use crate::sql::schema::{api_keys, audit, key_changes};
use crate::sql::{Fault, key};

identity_rows!(Session, |rows| &mut rows.connection, await);
