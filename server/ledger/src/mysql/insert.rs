//! Inserts of many rows per statement. diesel does not support `VALUES()` for MySQL, and would
//! prepare every multi-row statement again.

use diesel::QueryResult;
use diesel::mysql::Mysql;
use diesel::query_builder::{AstPass, QueryFragment, QueryId};
use diesel::sql_types::{BigInt, Binary, Bool, Integer, Nullable, Text};

/// A column value.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Value<'a> {
    Bytes(&'a [u8]),
    MaybeBytes(Option<&'a [u8]>),
    MaybeText(Option<&'a str>),
    Text(&'a str),
    Integer(i32),
    Long(i64),
    MaybeLong(Option<i64>),
    MaybeBool(Option<bool>),
}

impl Value<'_> {
    /// Returns the approximate size in a statement.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::Bytes(value) | Self::MaybeBytes(Some(value)) => value.len(),
            Self::Text(value) | Self::MaybeText(Some(value)) => value.len(),
            _ => 8,
        }
    }
}

/// The target of an insert, and the updates to apply to existing rows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Target {
    /// Table and columns.
    pub(super) into: &'static str,
    pub(super) on_duplicate: &'static str,
}

/// An insert statement.
pub(super) struct Insert<'a, const COLUMNS: usize> {
    pub(super) target: Target,
    pub(super) rows: Vec<[Value<'a>; COLUMNS]>,
}

impl<const COLUMNS: usize> QueryId for Insert<'_, COLUMNS> {
    type QueryId = ();
    /// The number of rows is part of the text.
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl<const COLUMNS: usize> QueryFragment<Mysql> for Insert<'_, COLUMNS> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Mysql>) -> QueryResult<()> {
        // Only a few lengths stay prepared, among them full chunks and single rows.
        if !self.rows.len().is_power_of_two() {
            out.unsafe_to_cache_prepared();
        }
        out.push_sql("INSERT INTO ");
        out.push_sql(self.target.into);
        out.push_sql(" VALUES ");
        for (row_number, row) in self.rows.iter().enumerate() {
            out.push_sql(if row_number == 0 { "(" } else { ", (" });
            for (column, value) in row.iter().enumerate() {
                if column > 0 {
                    out.push_sql(", ");
                }
                bind(value, out.reborrow())?;
            }
            out.push_sql(")");
        }
        out.push_sql(" ON DUPLICATE KEY UPDATE ");
        out.push_sql(self.target.on_duplicate);
        Ok(())
    }
}

fn bind<'b>(value: &'b Value<'_>, mut out: AstPass<'_, 'b, Mysql>) -> QueryResult<()> {
    match value {
        Value::Bytes(value) => out.push_bind_param::<Binary, _>(value),
        Value::MaybeBytes(value) => out.push_bind_param::<Nullable<Binary>, _>(value),
        Value::MaybeText(value) => out.push_bind_param::<Nullable<Text>, _>(value),
        Value::Text(value) => out.push_bind_param::<Text, _>(value),
        Value::Integer(value) => out.push_bind_param::<Integer, _>(value),
        Value::Long(value) => out.push_bind_param::<BigInt, _>(value),
        Value::MaybeLong(value) => out.push_bind_param::<Nullable<BigInt>, _>(value),
        Value::MaybeBool(value) => out.push_bind_param::<Nullable<Bool>, _>(value),
    }
}
