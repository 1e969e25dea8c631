//! Statements on kinds on MySQL.

use diesel::prelude::{ExpressionMethods, OptionalExtension, QueryDsl};
use diesel_async::RunQueryDsl;
use sentinel_domain::Millis;

use super::connection::MysqlSession;
use crate::connection::kinds::KindConnection;
use crate::database_error::DatabaseError;
use crate::sql::kinds::{KindRow, decode_kind, impl_kind_connection};
use crate::sql::schema::kinds;
use crate::types::kinds::KnownKind;

impl_kind_connection!(MysqlSession, |session| &mut session.connection, await);
