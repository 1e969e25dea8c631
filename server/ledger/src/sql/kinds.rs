//! The statements on kinds, written once for both databases.

use sentinel_domain::Millis;

use crate::types::kinds::KnownKind;

/// A row of `kinds`.
pub(crate) type KindRow = (String, String, String, Millis, Millis);

pub(crate) fn decode_kind(row: KindRow) -> KnownKind {
    let (name, description, input_schema, declared_at, seen_at) = row;
    KnownKind {
        name: name.into(),
        description: description.into(),
        input_schema: input_schema.into(),
        declared_at,
        seen_at,
    }
}

/// Implements [`crate::connection::kinds::KindConnection`]. `$await` is `await` if the connection
/// is asynchronous.
macro_rules! impl_kind_connection {
    ($type:ty, |$conn:ident| $connection:expr $(, $await:tt)?) => {
        impl KindConnection for $type {
            async fn insert_kind(&mut self, kind: &KnownKind) -> Result<(), DatabaseError> {
                let $conn = self;
                let row = (
                    kinds::name.eq(&*kind.name),
                    kinds::description.eq(&*kind.description),
                    kinds::input_schema.eq(&*kind.input_schema),
                    kinds::declared_at_ms.eq(kind.declared_at),
                    kinds::seen_at_ms.eq(kind.seen_at),
                );
                diesel::insert_or_ignore_into(kinds::table)
                    .values(row)
                    .execute($connection)$(.$await)??;
                Ok(())
            }

            async fn declare_kind(&mut self, kind: &KnownKind) -> Result<(), DatabaseError> {
                let $conn = self;
                let target = kinds::table
                    .filter(kinds::name.eq(&*kind.name))
                    .filter(kinds::declared_at_ms.le(kind.declared_at));
                let declaration = (
                    kinds::description.eq(&*kind.description),
                    kinds::input_schema.eq(&*kind.input_schema),
                    kinds::declared_at_ms.eq(kind.declared_at),
                );
                diesel::update(target).set(declaration).execute($connection)$(.$await)??;
                Ok(())
            }

            async fn touch_kinds(
                &mut self,
                names: &[&str],
                at: Millis,
            ) -> Result<(), DatabaseError> {
                let $conn = self;
                let target = kinds::table
                    .filter(kinds::name.eq_any(names))
                    .filter(kinds::seen_at_ms.lt(at));
                diesel::update(target)
                    .set(kinds::seen_at_ms.eq(at))
                    .execute($connection)$(.$await)??;
                Ok(())
            }

            async fn count_kinds(&mut self) -> Result<i64, DatabaseError> {
                let $conn = self;
                Ok(kinds::table.count().get_result($connection)$(.$await)??)
            }

            async fn least_recently_seen_kinds(
                &mut self,
                limit: i64,
            ) -> Result<Vec<String>, DatabaseError> {
                let $conn = self;
                Ok(kinds::table
                    .select(kinds::name)
                    .order((kinds::seen_at_ms.asc(), kinds::name.asc()))
                    .limit(limit)
                    .load($connection)$(.$await)??)
            }

            async fn delete_kinds(&mut self, names: &[String]) -> Result<(), DatabaseError> {
                let $conn = self;
                diesel::delete(kinds::table.filter(kinds::name.eq_any(names)))
                    .execute($connection)$(.$await)??;
                Ok(())
            }

            async fn delete_unseen_kinds(&mut self, before: Millis) -> Result<(), DatabaseError> {
                let $conn = self;
                diesel::delete(kinds::table.filter(kinds::seen_at_ms.lt(before)))
                    .execute($connection)$(.$await)??;
                Ok(())
            }

            async fn kinds(
                &mut self,
                after: &str,
                limit: i64,
            ) -> Result<Vec<KnownKind>, DatabaseError> {
                let $conn = self;
                let rows: Vec<KindRow> = kinds::table
                    .filter(kinds::name.gt(after))
                    .order(kinds::name.asc())
                    .limit(limit)
                    .load($connection)$(.$await)??;
                Ok(rows.into_iter().map(decode_kind).collect())
            }

            async fn kind(&mut self, name: &str) -> Result<Option<KnownKind>, DatabaseError> {
                let $conn = self;
                let row: Option<KindRow> = kinds::table
                    .filter(kinds::name.eq(name))
                    .first($connection)$(.$await)?
                    .optional()?;
                Ok(row.map(decode_kind))
            }
        }
    };
}

pub(crate) use impl_kind_connection;
