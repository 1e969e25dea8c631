//! Keys and the audit trail in a file.

use diesel::SqliteConnection;
use diesel::prelude::*;
use sentinel_domain::{ApiKey, AuditEntry, JobId, KeyId, Millis};

use crate::rows::IdentityRows;
use crate::sql::identity::{
    AuditRow, KeyRow, entry_of, identity_rows, key_of, queues_text, role_code,
};
use crate::sql::schema::{api_keys, audit, key_changes};
use crate::sql::{Fault, key};

identity_rows!(SqliteConnection, |rows| rows);
