//! The rows of each table as an import copies them, without decoding their content.

use diesel::connection::DefaultLoadingMode;
use diesel::prelude::{OptionalExtension, QueryResult, QueryableByName};
use diesel::sql_types::{BigInt, Binary, Bool, Integer, Nullable, Text};
use diesel::sqlite::{Sqlite, SqliteConnection};
use diesel_async::RunQueryDsl as _;

use crate::connection::QueryFuture;
use crate::database_error::DatabaseError;
use crate::mysql::connection::MysqlSession;
use crate::mysql::insert::Value;
use crate::mysql::write::{
    ATTEMPTS, JOBS, KEYS, KINDS, LABELS, LOG_SIZES, LOGS as LINES, OUTPUTS, PRODUCERS, QUEUES,
    SPECS, insert,
};

/// The maximum number of rows of one page, and its maximum size unless a single row is larger.
const ROWS_MAX: usize = 2_000;
const BYTES_MAX: usize = 4 << 20;

/// The tables of the history file and of the log file.
pub(super) const HISTORY: &[&str] =
    &["jobs", "specs", "labels", "attempts", "queues", "keys", "kinds", "producers"];
pub(super) const LOGS: &[&str] = &["logs", "log_sizes", "outputs"];

/// A row of one table.
pub(super) trait ImportedRow: Send + Sync + Sized + 'static {
    /// Reads the rows after a row, by ascending key.
    fn page(file: &mut SqliteConnection, after: Option<&Self>) -> Result<Vec<Self>, DatabaseError>;
    /// Returns the row with the highest key.
    fn last(session: &mut MysqlSession) -> impl QueryFuture<Option<Self>>;
    fn insert(session: &mut MysqlSession, rows: &[Self]) -> impl QueryFuture<()>;
}

/// A column value that can be inserted.
trait Cell {
    fn value(&self) -> Value<'_>;
}

macro_rules! cells {
    ($($rust:ty: |$cell:ident| $value:expr;)+) => {
        $(impl Cell for $rust {
            fn value(&self) -> Value<'_> {
                let $cell = self;
                $value
            }
        })+
    };
}

cells! {
    Vec<u8>: |cell| Value::Bytes(cell);
    String: |cell| Value::Text(cell);
    i32: |cell| Value::Integer(*cell);
    i64: |cell| Value::Long(*cell);
    Option<Vec<u8>>: |cell| Value::MaybeBytes(cell.as_deref());
    Option<String>: |cell| Value::MaybeText(cell.as_deref());
    Option<i64>: |cell| Value::MaybeLong(*cell);
    Option<bool>: |cell| Value::MaybeBool(*cell);
}

/// A column, and the expression that computes it if the SQLite table does not have it.
type Column = (&'static str, Option<&'static str>);

/// Defines the row of a table: its primary key first, all columns in the order of the insert
/// statement.
macro_rules! table {
    ($row:ident: $table:literal, $target:ident,
     key { $($key:ident: $key_sql:ty => $key_rust:ty,)+ }
     rest { $($rest:ident: $rest_sql:ty => $rest_rust:ty $(= $from:literal)?,)* }) => {
        #[derive(QueryableByName)]
        pub(super) struct $row {
            $(#[diesel(sql_type = $key_sql)] $key: $key_rust,)+
            $(#[diesel(sql_type = $rest_sql)] $rest: $rest_rust,)*
        }

        impl $row {
            const KEY: &[&str] = &[$(stringify!($key)),+];
            const COLUMNS: &[Column] = &[
                $((stringify!($key), None),)+
                $((stringify!($rest), table!(@from $($from)?)),)*
            ];
        }

        impl ImportedRow for $row {
            fn page(
                file: &mut SqliteConnection,
                after: Option<&Self>,
            ) -> Result<Vec<Self>, DatabaseError> {
                let text = select_after($table, Self::COLUMNS, Self::KEY, after.is_some());
                let mut query = diesel::sql_query(text).into_boxed::<Sqlite>();
                if let Some(after) = after {
                    $(query = query.bind::<$key_sql, _>(after.$key.clone());)+
                }
                let rows = diesel::RunQueryDsl::load_iter::<Self, DefaultLoadingMode>(query, file)?;
                take_page(rows, |row| {
                    0 $(+ row.$key.value().bytes())+ $(+ row.$rest.value().bytes())*
                })
            }

            async fn last(session: &mut MysqlSession) -> Result<Option<Self>, DatabaseError> {
                let query = diesel::sql_query(select_last($table, Self::COLUMNS, Self::KEY));
                Ok(query.get_result(&mut session.connection).await.optional()?)
            }

            async fn insert(
                session: &mut MysqlSession,
                rows: &[Self],
            ) -> Result<(), DatabaseError> {
                let rows: Vec<_> = rows
                    .iter()
                    .map(|row| [$(row.$key.value(),)+ $(row.$rest.value(),)*])
                    .collect();
                insert(session, $target, &rows).await
            }
        }
    };
    (@from) => { None };
    (@from $from:literal) => { Some($from) };
}

table! { Job: "jobs", JOBS,
    key { id: Binary => Vec<u8>, }
    rest {
        queue: Text => String,
        kind: Text => String,
        state: Integer => i32,
        status: Binary => Vec<u8>,
        spec: Nullable<Binary> => Option<Vec<u8>>,
        spec_bytes: BigInt => i64 = "COALESCE(LENGTH(spec), \
            (SELECT LENGTH(large.spec) FROM specs AS large WHERE large.id = jobs.id), 0)",
    }
}

table! { Spec: "specs", SPECS,
    key { id: Binary => Vec<u8>, }
    rest { spec: Binary => Vec<u8>, }
}

table! { Label: "labels", LABELS,
    key { key: Text => String, value: Text => String, job: Binary => Vec<u8>, }
    rest { }
}

table! { Attempt: "attempts", ATTEMPTS,
    key { job: Binary => Vec<u8>, epoch: BigInt => i64, }
    rest {
        run: BigInt => i64,
        attempt: BigInt => i64,
        outcome: Integer => i32,
        started_at_ms: Nullable<BigInt> => Option<i64>,
        ended_at_ms: BigInt => i64,
        worker: Nullable<Text> => Option<String>,
        error_message: Nullable<Text> => Option<String>,
        error_code: Nullable<Text> => Option<String>,
        error_retryable: Nullable<Bool> => Option<bool>,
        error_detail: Nullable<Text> => Option<String>,
    }
}

table! { Queue: "queues", QUEUES,
    key { name: Text => String, }
    rest { declaration: Binary => Vec<u8>, }
}

table! { Key: "keys", KEYS,
    key { key: Binary => Vec<u8>, }
    rest { job: Binary => Vec<u8>, until_ms: BigInt => i64, }
}

table! { Kind: "kinds", KINDS,
    key { name: Text => String, }
    rest {
        description: Text => String,
        input_schema: Text => String,
        declared_at_ms: BigInt => i64,
        seen_at_ms: BigInt => i64,
    }
}

table! { Producer: "producers", PRODUCERS,
    key { id: Text => String, }
    rest { answer: Binary => Vec<u8>, until_ms: BigInt => i64, }
}

table! { Log: "logs", LINES,
    key { job: Binary => Vec<u8>, run: BigInt => i64, attempt: BigInt => i64, seq: BigInt => i64, }
    rest { at_ms: BigInt => i64, level: Integer => i32, text: Text => String, }
}

table! { LogSize: "log_sizes", LOG_SIZES,
    key { job: Binary => Vec<u8>, run: BigInt => i64, attempt: BigInt => i64, }
    rest { bytes: BigInt => i64, first_seq: BigInt => i64, }
}

table! { Output: "outputs", OUTPUTS,
    key {
        job: Binary => Vec<u8>,
        run: BigInt => i64,
        attempt: BigInt => i64,
        epoch: BigInt => i64,
        piece: BigInt => i64,
    }
    rest { start_byte: BigInt => i64, end_byte: BigInt => i64, data: Binary => Vec<u8>, }
}

fn quoted(names: &[&str], after: &str) -> String {
    names.iter().map(|name| format!("`{name}`{after}")).collect::<Vec<_>>().join(", ")
}

fn select_after(table: &str, columns: &[Column], key: &[&str], is_after: bool) -> String {
    let columns = columns.iter().map(|(name, from)| match from {
        Some(from) => format!("{from} AS `{name}`"),
        None => format!("`{name}`"),
    });
    let columns = columns.collect::<Vec<_>>().join(", ");
    let (order, parameters) = (quoted(key, ""), vec!["?"; key.len()].join(", "));
    let after = if is_after { format!("WHERE ({order}) > ({parameters}) ") } else { String::new() };
    format!("SELECT {columns} FROM `{table}` {after}ORDER BY {order} LIMIT {ROWS_MAX}")
}

fn select_last(table: &str, columns: &[Column], key: &[&str]) -> String {
    let names: Vec<&str> = columns.iter().map(|(name, _)| *name).collect();
    let (columns, order) = (quoted(&names, ""), quoted(key, " DESC"));
    format!("SELECT {columns} FROM `{table}` ORDER BY {order} LIMIT 1")
}

/// Takes the first rows, as many as one transaction copies.
fn take_page<R>(
    rows: impl Iterator<Item = QueryResult<R>>,
    bytes: impl Fn(&R) -> usize,
) -> Result<Vec<R>, DatabaseError> {
    let (mut page, mut sum) = (Vec::new(), 0);
    for row in rows {
        let row = row?;
        sum += bytes(&row);
        page.push(row);
        if sum >= BYTES_MAX {
            break;
        }
    }
    Ok(page)
}

#[derive(QueryableByName)]
struct Number {
    #[diesel(sql_type = BigInt)]
    number: i64,
}

fn query_number(file: &mut SqliteConnection, query: String) -> Result<u64, DatabaseError> {
    let found: Number = diesel::RunQueryDsl::get_result(diesel::sql_query(query), file)?;
    Ok(found.number.cast_unsigned())
}

/// Counts the rows of tables.
pub(super) fn count(file: &mut SqliteConnection, tables: &[&str]) -> Result<u64, DatabaseError> {
    let counts = tables
        .iter()
        .map(|table| query_number(file, format!("SELECT COUNT(*) AS number FROM `{table}`")));
    counts.sum()
}

/// Returns the size of the largest spec. SQLite reads only the lengths.
pub(super) fn largest_spec(file: &mut SqliteConnection) -> Result<u64, DatabaseError> {
    query_number(file, "SELECT COALESCE(MAX(LENGTH(spec)), 0) AS number FROM specs".to_owned())
}
