//! The statements that run at least once per job, written so that each connection prepares them
//! once. diesel assumes that the text of an upsert or an update changes from call to call, and
//! prepares it again each time. That took longer than running the statement.

use diesel::QueryResult;
use diesel::prelude::*;
use diesel::query_builder::{AstPass, QueryFragment, QueryId};
use diesel::sql_types::{Binary, Integer, Nullable, Text};
use diesel::sqlite::Sqlite;

/// Inserts a job, or updates the state of an existing one.
pub(super) struct UpsertJob<'a> {
    pub(super) id: &'a [u8],
    pub(super) queue: &'a str,
    pub(super) kind: &'a str,
    pub(super) state: i32,
    pub(super) status: &'a [u8],
    pub(super) spec: Option<&'a [u8]>,
}

impl QueryId for UpsertJob<'_> {
    type QueryId = UpsertJob<'static>;
    const HAS_STATIC_QUERY_ID: bool = true;
}

impl QueryFragment<Sqlite> for UpsertJob<'_> {
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

impl RunQueryDsl<SqliteConnection> for UpsertJob<'_> {}

/// Updates the state of an existing job.
pub(super) struct UpdateStatus<'a> {
    pub(super) id: &'a [u8],
    pub(super) state: i32,
    pub(super) status: &'a [u8],
}

impl QueryId for UpdateStatus<'_> {
    type QueryId = UpdateStatus<'static>;
    const HAS_STATIC_QUERY_ID: bool = true;
}

impl QueryFragment<Sqlite> for UpdateStatus<'_> {
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

impl RunQueryDsl<SqliteConnection> for UpdateStatus<'_> {}

/// Inserts a label of a job, unless it exists.
pub(super) struct InsertLabel<'a> {
    pub(super) key: &'a str,
    pub(super) value: &'a str,
    pub(super) job: &'a [u8],
}

impl QueryId for InsertLabel<'_> {
    type QueryId = InsertLabel<'static>;
    const HAS_STATIC_QUERY_ID: bool = true;
}

impl QueryFragment<Sqlite> for InsertLabel<'_> {
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

impl RunQueryDsl<SqliteConnection> for InsertLabel<'_> {}
