//! Kinds on a database server.

use diesel::prelude::{ExpressionMethods, OptionalExtension, QueryDsl};
use diesel_async::RunQueryDsl;
use sentinel_domain::Millis;

use super::session::Session;
use crate::KnownKind;
use crate::rows::KindRows;
use crate::sql::Fault;
use crate::sql::kind::{KindRow, kind_of, kind_rows};
use crate::sql::schema::kinds;

kind_rows!(Session, |rows| &mut rows.connection, await);
