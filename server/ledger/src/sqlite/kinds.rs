//! Statements on kinds on SQLite.

use diesel::SqliteConnection;
use diesel::prelude::*;
use sentinel_domain::Millis;

use crate::connection::kinds::KindConnection;
use crate::database_error::DatabaseError;
use crate::sql::kinds::{KindRow, decode_kind, impl_kind_connection};
use crate::sql::schema::kinds;
use crate::types::kinds::KnownKind;

impl_kind_connection!(SqliteConnection, |conn| conn);
