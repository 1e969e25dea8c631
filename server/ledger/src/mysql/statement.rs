//! Rows put into a table, many at once. diesel writes no `VALUES()` for MySQL, and would have
//! every statement of many rows prepared anew.

use diesel::QueryResult;
use diesel::mysql::Mysql;
use diesel::query_builder::{AstPass, QueryFragment, QueryId};
use diesel::sql_types::{BigInt, Binary, Bool, Integer, Nullable, Text};

/// A value of a row.
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
    /// About what it takes in a statement.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::Bytes(value) | Self::MaybeBytes(Some(value)) => value.len(),
            Self::Text(value) | Self::MaybeText(Some(value)) => value.len(),
            _ => 8,
        }
    }
}

/// Where rows go, and what becomes of one that is there.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Target {
    /// Table and columns.
    pub(super) into: &'static str,
    pub(super) on_duplicate: &'static str,
}

/// One statement.
pub(super) struct Put<'a, const COLUMNS: usize> {
    pub(super) target: Target,
    pub(super) rows: Vec<[Value<'a>; COLUMNS]>,
}

impl<const COLUMNS: usize> QueryId for Put<'_, COLUMNS> {
    type QueryId = ();
    /// The number of rows is part of the text.
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl<const COLUMNS: usize> QueryFragment<Mysql> for Put<'_, COLUMNS> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Mysql>) -> QueryResult<()> {
        // Few lengths are kept prepared: those that whole chunks and single rows have.
        if !self.rows.len().is_power_of_two() {
            out.unsafe_to_cache_prepared();
        }
        out.push_sql("INSERT INTO ");
        out.push_sql(self.target.into);
        out.push_sql(" VALUES ");
        for (n, row) in self.rows.iter().enumerate() {
            out.push_sql(if n == 0 { "(" } else { ", (" });
            for (n, value) in row.iter().enumerate() {
                if n > 0 {
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
