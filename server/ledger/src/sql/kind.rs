//! The statements about kinds, once for both databases.

use sentinel_domain::Millis;

use crate::KnownKind;

/// A row of `kinds`.
pub(crate) type KindRow = (String, String, String, Millis, Millis);

pub(crate) fn kind_of(row: KindRow) -> KnownKind {
    let (name, description, input_schema, declared_at, seen_at) = row;
    KnownKind {
        name: name.into(),
        description: description.into(),
        input_schema: input_schema.into(),
        declared_at,
        seen_at,
    }
}

/// Carries the statements out on a connection. `$wait` is `await` where there is a way to it.
macro_rules! kind_rows {
    ($home:ty, |$rows:ident| $connection:expr $(, $wait:tt)?) => {
        impl KindRows for $home {
            async fn add_kind(&mut self, kind: &KnownKind) -> Result<(), Fault> {
                let $rows = self;
                let row = (
                    kinds::name.eq(&*kind.name),
                    kinds::description.eq(&*kind.description),
                    kinds::input_schema.eq(&*kind.input_schema),
                    kinds::declared_at_ms.eq(kind.declared_at),
                    kinds::seen_at_ms.eq(kind.seen_at),
                );
                diesel::insert_or_ignore_into(kinds::table)
                    .values(row)
                    .execute($connection)$(.$wait)??;
                Ok(())
            }

            async fn declare_kind(&mut self, kind: &KnownKind) -> Result<(), Fault> {
                let $rows = self;
                let of = kinds::table
                    .filter(kinds::name.eq(&*kind.name))
                    .filter(kinds::declared_at_ms.le(kind.declared_at));
                let words = (
                    kinds::description.eq(&*kind.description),
                    kinds::input_schema.eq(&*kind.input_schema),
                    kinds::declared_at_ms.eq(kind.declared_at),
                );
                diesel::update(of).set(words).execute($connection)$(.$wait)??;
                Ok(())
            }

            async fn see_kinds(&mut self, names: &[&str], at: Millis) -> Result<(), Fault> {
                let $rows = self;
                let of = kinds::table
                    .filter(kinds::name.eq_any(names))
                    .filter(kinds::seen_at_ms.lt(at));
                diesel::update(of).set(kinds::seen_at_ms.eq(at)).execute($connection)$(.$wait)??;
                Ok(())
            }

            async fn count_kinds(&mut self) -> Result<i64, Fault> {
                let $rows = self;
                Ok(kinds::table.count().get_result($connection)$(.$wait)??)
            }

            async fn stale_kinds(&mut self, limit: i64) -> Result<Vec<String>, Fault> {
                let $rows = self;
                Ok(kinds::table
                    .select(kinds::name)
                    .order((kinds::seen_at_ms.asc(), kinds::name.asc()))
                    .limit(limit)
                    .load($connection)$(.$wait)??)
            }

            async fn drop_kinds(&mut self, names: &[String]) -> Result<(), Fault> {
                let $rows = self;
                diesel::delete(kinds::table.filter(kinds::name.eq_any(names)))
                    .execute($connection)$(.$wait)??;
                Ok(())
            }

            async fn drop_unseen_kinds(&mut self, before: Millis) -> Result<(), Fault> {
                let $rows = self;
                diesel::delete(kinds::table.filter(kinds::seen_at_ms.lt(before)))
                    .execute($connection)$(.$wait)??;
                Ok(())
            }

            async fn kinds(&mut self, after: &str, limit: i64) -> Result<Vec<KnownKind>, Fault> {
                let $rows = self;
                let rows: Vec<KindRow> = kinds::table
                    .filter(kinds::name.gt(after))
                    .order(kinds::name.asc())
                    .limit(limit)
                    .load($connection)$(.$wait)??;
                Ok(rows.into_iter().map(kind_of).collect())
            }

            async fn kind(&mut self, name: &str) -> Result<Option<KnownKind>, Fault> {
                let $rows = self;
                let row: Option<KindRow> = kinds::table
                    .filter(kinds::name.eq(name))
                    .first($connection)$(.$wait)?
                    .optional()?;
                Ok(row.map(kind_of))
            }
        }
    };
}

pub(crate) use kind_rows;
