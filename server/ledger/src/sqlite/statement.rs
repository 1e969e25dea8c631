//! The statements that run once or more per job, written so that they are prepared once per
//! connection. Diesel marks each upsert and each update as one whose text may change from
//! call to call and prepares it anew; that took more time than running it.

use diesel::QueryResult;
use diesel::prelude::*;
use diesel::query_builder::{AstPass, QueryFragment, QueryId};
use diesel::sql_types::{Binary, Integer, Nullable, Text};
use diesel::sqlite::Sqlite;

/// A new row of `jobs`, or a new state of one that is there.
pub(super) struct PutJob<'a> {
    pub(super) id: &'a [u8],
    pub(super) queue: &'a str,
    pub(super) kind: &'a str,
    pub(super) state: i32,
    pub(super) status: &'a [u8],
    pub(super) spec: Option<&'a [u8]>,
}

impl QueryId for PutJob<'_> {
    type QueryId = PutJob<'static>;
    const HAS_STATIC_QUERY_ID: bool = true;
}

impl QueryFragment<Sqlite> for PutJob<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Sqlite>) -> QueryResult<()> {
        out.push_sql(
            "INSERT INTO `jobs` (`id`, `queue`, `kind`, `state`, `status`, `spec`) VALUES (",
        );
        out.push_bind_param::<Binary, _>(&self.id)?;
        out.push_sql(", ");
        out.push_bind_param::<Text, _>(&self.queue)?;
        out.push_sql(", ");
        out.push_bind_param::<Text, _>(&self.kind)?;
        out.push_sql(", ");
        out.push_bind_param::<Integer, _>(&self.state)?;
        out.push_sql(", ");
        out.push_bind_param::<Binary, _>(&self.status)?;
        out.push_sql(", ");
        out.push_bind_param::<Nullable<Binary>, _>(&self.spec)?;
        out.push_sql(
            ") ON CONFLICT (`id`) DO UPDATE SET \
             `state` = excluded.`state`, `status` = excluded.`status`",
        );
        Ok(())
    }
}

impl RunQueryDsl<SqliteConnection> for PutJob<'_> {}

/// A new state of a job that is there.
pub(super) struct SetStatus<'a> {
    pub(super) id: &'a [u8],
    pub(super) state: i32,
    pub(super) status: &'a [u8],
}

impl QueryId for SetStatus<'_> {
    type QueryId = SetStatus<'static>;
    const HAS_STATIC_QUERY_ID: bool = true;
}

impl QueryFragment<Sqlite> for SetStatus<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Sqlite>) -> QueryResult<()> {
        out.push_sql("UPDATE `jobs` SET `state` = ");
        out.push_bind_param::<Integer, _>(&self.state)?;
        out.push_sql(", `status` = ");
        out.push_bind_param::<Binary, _>(&self.status)?;
        out.push_sql(" WHERE (`jobs`.`id` = ");
        out.push_bind_param::<Binary, _>(&self.id)?;
        out.push_sql(")");
        Ok(())
    }
}

impl RunQueryDsl<SqliteConnection> for SetStatus<'_> {}

/// A label of a job, unless it is there.
pub(super) struct PutLabel<'a> {
    pub(super) key: &'a str,
    pub(super) value: &'a str,
    pub(super) job: &'a [u8],
}

impl QueryId for PutLabel<'_> {
    type QueryId = PutLabel<'static>;
    const HAS_STATIC_QUERY_ID: bool = true;
}

impl QueryFragment<Sqlite> for PutLabel<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Sqlite>) -> QueryResult<()> {
        out.push_sql("INSERT INTO `labels` (`key`, `value`, `job`) VALUES (");
        out.push_bind_param::<Text, _>(&self.key)?;
        out.push_sql(", ");
        out.push_bind_param::<Text, _>(&self.value)?;
        out.push_sql(", ");
        out.push_bind_param::<Binary, _>(&self.job)?;
        out.push_sql(") ON CONFLICT DO NOTHING");
        Ok(())
    }
}

impl RunQueryDsl<SqliteConnection> for PutLabel<'_> {}
