//! Kinds in a file.

use diesel::SqliteConnection;
use diesel::prelude::*;
use sentinel_domain::Millis;

use crate::KnownKind;
use crate::rows::KindRows;
use crate::sql::Fault;
use crate::sql::kind::{KindRow, kind_of, kind_rows};
use crate::sql::schema::kinds;

kind_rows!(SqliteConnection, |rows| rows);
