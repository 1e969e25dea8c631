//! A journal file: an SQLite database with a table of entries.

use std::path::{Path, PathBuf};

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::result::Error;
use sentinel_domain::Millis;
use sentinel_store::content_hash;

use super::AppendError;
use crate::OpenError;

/// The format version that is written, and the newest that can be read.
const FORMAT: i32 = 1;

const EXTENSION: &str = "sqlite";

diesel::table! {
    entries (seq) {
        seq -> BigInt,
        at_ms -> BigInt,
        hash -> BigInt,
        body -> Binary,
    }
}

diesel::table! {
    meta (format) {
        format -> Integer,
        epoch -> BigInt,
    }
}

/// The metadata of a journal file.
#[derive(Debug)]
pub(crate) struct Segment {
    pub(crate) path: PathBuf,
    pub(crate) first: u64,
    /// `first - 1` while it is empty.
    pub(crate) last: u64,
    pub(crate) last_at: Millis,
    pub(crate) bytes: u64,
}

impl Segment {
    pub(crate) fn empty(path: PathBuf, first: u64) -> Self {
        Self { path, first, last: first - 1, last_at: Millis::MIN, bytes: 0 }
    }

    pub(crate) fn update(&mut self, seq: u64, at: Millis, bytes: usize) {
        self.last = seq;
        self.last_at = self.last_at.max(at);
        self.bytes += bytes as u64;
    }
}

/// A stored entry.
#[derive(Queryable)]
pub(crate) struct Row {
    seq: i64,
    at_ms: i64,
    hash: i64,
    pub(crate) body: Vec<u8>,
}

impl Row {
    pub(crate) fn seq(&self) -> u64 {
        self.seq.cast_unsigned()
    }

    /// Returns whether the bytes match their hash.
    pub(crate) fn is_intact(&self) -> bool {
        content_hash(&self.body) == self.hash.cast_unsigned()
    }
}

/// Returns the journal files of a directory with their first sequence numbers, in order.
pub(crate) fn list(dir: &Path) -> Result<Vec<(u64, PathBuf)>, OpenError> {
    let failed = |source| OpenError::io(dir, source);
    let mut found = Vec::new();
    for file in std::fs::read_dir(dir).map_err(failed)? {
        let path = file.map_err(failed)?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let first = name.strip_prefix("journal-").and_then(|rest| rest.strip_suffix(".sqlite"));
        if let Some(first) = first.and_then(|digits| digits.parse().ok()).filter(|first| *first > 0)
        {
            found.push((first, path));
        }
    }
    found.sort();
    Ok(found)
}

/// Creates a file under a temporary name and renames it, so that an existing file is complete.
pub(crate) fn create(dir: &Path, epoch: u64, first: u64) -> Result<(u64, PathBuf), OpenError> {
    let path = dir.join(format!("journal-{first:020}.{EXTENSION}"));
    let temporary = dir.join("journal-next");
    let _ = std::fs::remove_file(&temporary);
    let _ = std::fs::remove_file(dir.join("journal-next-journal"));
    let create = || -> Result<(), Error> {
        let mut connection = SqliteConnection::establish(&utf8(&temporary))
            .map_err(|error| Error::QueryBuilderError(error.into()))?;
        connection.batch_execute(&format!(
            "PRAGMA page_size = 8192; PRAGMA synchronous = FULL;
             BEGIN;
             CREATE TABLE meta (format INTEGER PRIMARY KEY NOT NULL, epoch BIGINT NOT NULL);
             CREATE TABLE entries (
                 seq INTEGER PRIMARY KEY NOT NULL,
                 at_ms BIGINT NOT NULL,
                 hash BIGINT NOT NULL,
                 body BLOB NOT NULL
             );
             INSERT INTO meta VALUES ({FORMAT}, {});
             COMMIT;",
            epoch.cast_signed()
        ))
    };
    create().map_err(|error| OpenError::io(&path, std::io::Error::other(error)))?;
    std::fs::rename(&temporary, &path).map_err(|source| OpenError::io(&path, source))?;
    let synced = std::fs::File::open(dir).and_then(|dir| dir.sync_all());
    synced.map_err(|source| OpenError::io(dir, source))?;
    Ok((first, path))
}

fn utf8(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// Opens a file for reading and writing. The write-ahead log is checkpointed only when the file is
/// closed, so commits do not wait for it.
pub(crate) fn open(path: &Path) -> Result<SqliteConnection, OpenError> {
    if !path.exists() {
        return Err(OpenError::io(path, std::io::ErrorKind::NotFound.into()));
    }
    let mut connection = SqliteConnection::establish(&utf8(path))
        .map_err(|error| OpenError::damaged(path, error))?;
    connection
        .batch_execute(
            "PRAGMA busy_timeout = 5000; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
             PRAGMA wal_autocheckpoint = 0;",
        )
        .map_err(|error| OpenError::damaged(path, error))?;
    Ok(connection)
}

/// Opens a new file and makes SQLite create its log. A full disk is a plain IO error at that point,
/// which could not be distinguished from a broken disk at the first entry.
pub(crate) fn open_new(path: &Path) -> Result<SqliteConnection, OpenError> {
    let mut connection = open(path)?;
    connection
        .batch_execute("BEGIN IMMEDIATE; COMMIT;")
        .map_err(|error| OpenError::io(path, std::io::Error::other(error)))?;
    Ok(connection)
}

/// Checks the format of a file and returns its epoch.
pub(crate) fn check_meta(connection: &mut SqliteConnection, path: &Path) -> Result<u64, OpenError> {
    let (format, epoch) = meta::table
        .select((meta::format, meta::epoch))
        .first::<(i32, i64)>(connection)
        .map_err(|error| OpenError::damaged(path, error))?;
    if format > FORMAT {
        return Err(OpenError::Newer { file: path.to_owned(), format, supported: FORMAT });
    }
    Ok(epoch.cast_unsigned())
}

/// Returns the sequence number of the last entry, if there is one.
pub(crate) fn last(connection: &mut SqliteConnection) -> Result<Option<u64>, Error> {
    let newest = entries::table.select(entries::seq).order(entries::seq.desc());
    let seq: Option<i64> = newest.first(connection).optional()?;
    Ok(seq.map(i64::cast_unsigned))
}

/// Sets the epoch of a file.
pub(crate) fn set_epoch(connection: &mut SqliteConnection, epoch: u64) -> Result<(), Error> {
    let set = diesel::update(meta::table).set(meta::epoch.eq(epoch.cast_signed()));
    set.execute(connection).map(drop)
}

/// Reads all entries of a file, and checks that they are dense and intact.
pub(crate) fn scan(
    connection: &mut SqliteConnection,
    segment: &mut Segment,
    visit: &mut dyn FnMut(Row, &Path) -> Result<(), OpenError>,
) -> Result<(), OpenError> {
    let path = segment.path.clone();
    let rows = entries::table
        .order(entries::seq)
        .load_iter::<Row, _>(connection)
        .map_err(|error| OpenError::damaged(&path, error))?;
    for row in rows {
        let row = row.map_err(|error| OpenError::damaged(&path, error))?;
        if row.seq() != segment.last + 1 {
            let (from, to) = (segment.last + 1, row.seq().saturating_sub(1));
            return Err(OpenError::Gap { file: path, from, to });
        }
        if !row.is_intact() {
            return Err(OpenError::damaged(&path, format!("entry {} is corrupt", row.seq())));
        }
        segment.update(row.seq(), row.at_ms, row.body.len());
        visit(row, &path)?;
    }
    Ok(())
}

#[derive(QueryableByName)]
struct QuickCheckRow {
    #[diesel(sql_type = diesel::sql_types::Text)]
    quick_check: String,
}

/// Checks the pages of the last file. A lost row of any other file leaves a gap, but a damaged page
/// header can hide the last rows of the journal.
pub(crate) fn check_pages(connection: &mut SqliteConnection, path: &Path) -> Result<(), OpenError> {
    let found: Vec<QuickCheckRow> = diesel::sql_query("PRAGMA quick_check(1)")
        .load(connection)
        .map_err(|error| OpenError::damaged(path, error))?;
    match found.into_iter().find(|row| row.quick_check != "ok") {
        None => Ok(()),
        Some(row) => Err(OpenError::damaged(path, row.quick_check)),
    }
}

/// Returns entries after a sequence number, at most `limit` and about `max_bytes`.
pub(crate) fn read_after(
    connection: &mut SqliteConnection,
    seq: u64,
    limit: usize,
    max_bytes: usize,
) -> Result<Vec<Row>, Error> {
    let rows = entries::table
        .filter(entries::seq.gt(seq.cast_signed()))
        .order(entries::seq)
        .limit(i64::try_from(limit).unwrap_or(i64::MAX))
        .load_iter::<Row, _>(connection)?;
    let mut found = Vec::new();
    let mut bytes = 0;
    for row in rows {
        let row = row?;
        bytes += row.body.len();
        found.push(row);
        if bytes >= max_bytes {
            break;
        }
    }
    Ok(found)
}

/// Makes one entry durable.
pub(crate) fn insert(
    connection: &mut SqliteConnection,
    seq: u64,
    at: Millis,
    body: &[u8],
) -> Result<(), AppendError> {
    let row = (
        entries::seq.eq(seq.cast_signed()),
        entries::at_ms.eq(at),
        entries::hash.eq(content_hash(body).cast_signed()),
        entries::body.eq(body),
    );
    match diesel::insert_into(entries::table).values(row).execute(connection) {
        Ok(_) => Ok(()),
        // Diesel has no error kind for SQLITE_FULL. The message is constant in SQLite.
        Err(Error::DatabaseError(_, info)) if info.message().contains("disk is full") => {
            Err(AppendError::Full(info.message().to_owned()))
        }
        Err(error) => Err(AppendError::Failed(error.to_string())),
    }
}

/// Deletes a file, and then its log: a log without its file is ignored.
pub(crate) fn delete(path: &Path) -> std::io::Result<()> {
    std::fs::remove_file(path)?;
    for suffix in ["-wal", "-shm"] {
        let mut beside = path.as_os_str().to_owned();
        beside.push(suffix);
        let _ = std::fs::remove_file(beside);
    }
    Ok(())
}
