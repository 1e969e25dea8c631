//! Backup and restore of a journal while its store is running.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use diesel::prelude::*;
use diesel::sql_types::Text;
use sentinel_domain::Millis;

use crate::journal::segment::{self, Segment};
use crate::{OpenError, epoch};

/// The range of entries in a directory of journal files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JournalRange {
    pub epoch: u64,
    /// The first sequence number.
    pub first: u64,
    /// The last sequence number; `first - 1` if there are no entries.
    pub last: u64,
}

/// Open journal files. They stay readable although the store may delete them meanwhile.
pub struct JournalPin {
    dir: PathBuf,
    open: BTreeMap<u64, (PathBuf, SqliteConnection)>,
}

impl JournalPin {
    /// Opens the journal files of a data directory that contain entries after `after`.
    pub fn take(data_dir: &Path, after: u64) -> Result<Self, OpenError> {
        let dir = data_dir.join("journal");
        let found = segment::list(&dir)?;
        let mut open = BTreeMap::new();
        for (at, (first, path)) in found.iter().enumerate() {
            let is_over = found.get(at + 1).is_some_and(|(next, _)| *next <= after + 1);
            if !is_over && let Some(connection) = reader(path)? {
                open.insert(*first, (path.clone(), connection));
            }
        }
        Ok(Self { dir, open })
    }

    /// Copies all existing and opened files to the directory `journal` of `dest`. Each copy is a
    /// consistent snapshot. Files before a missing one are omitted.
    pub fn copy(mut self, dest: &Path) -> Result<(), OpenError> {
        let dest = dest.join("journal");
        std::fs::create_dir_all(&dest).map_err(|source| OpenError::io(&dest, source))?;
        for (first, path) in segment::list(&self.dir)? {
            if !self.open.contains_key(&first)
                && let Some(connection) = reader(&path)?
            {
                self.open.insert(first, (path, connection));
            }
        }
        let mut expected = None;
        let mut copied: Vec<PathBuf> = Vec::new();
        for (first, (path, mut connection)) in self.open {
            let to = dest.join(path.file_name().unwrap_or_default());
            let last = copy_one(&mut connection, &path, &to)?;
            if expected.is_some_and(|expected| expected != first) {
                for older in copied.drain(..) {
                    std::fs::remove_file(&older).map_err(|source| OpenError::io(&older, source))?;
                }
            }
            copied.push(to);
            expected = Some(last.unwrap_or(first - 1) + 1);
        }
        Ok(())
    }
}

/// Opens a file and reads from it, which keeps it open with its log. Returns `None` if it does not
/// exist.
fn reader(path: &Path) -> Result<Option<SqliteConnection>, OpenError> {
    if !path.exists() {
        return Ok(None);
    }
    let mut connection = segment::open(path)?;
    match segment::check_meta(&mut connection, path) {
        Ok(_) => Ok(Some(connection)),
        Err(_) if !path.exists() => Ok(None),
        Err(error) => Err(error),
    }
}

/// Copies a file and returns the sequence number of its last entry.
fn copy_one(
    connection: &mut SqliteConnection,
    path: &Path,
    to: &Path,
) -> Result<Option<u64>, OpenError> {
    // A copy of a damaged page would silently omit rows.
    segment::check_pages(connection, path)?;
    let copy = diesel::sql_query("VACUUM INTO ?").bind::<Text, _>(to.to_string_lossy());
    copy.execute(connection).map_err(|error| OpenError::copy(path, to, error))?;
    let mut copied = segment::open(to)?;
    segment::last(&mut copied).map_err(|error| OpenError::damaged(to, error))
}

/// Checks all journal entries of a data directory or a backup, and returns their range.
pub fn check_journal(data_dir: &Path) -> Result<JournalRange, OpenError> {
    let dir = data_dir.join("journal");
    let mut span: Option<JournalRange> = None;
    for (first, path) in segment::list(&dir)? {
        let mut connection = segment::open(&path)?;
        let epoch = segment::check_meta(&mut connection, &path)?;
        let before = *span.get_or_insert(JournalRange { epoch, first, last: first - 1 });
        if before.epoch != epoch {
            let detail = format!("it has epoch {epoch}, but earlier files have {}", before.epoch);
            return Err(OpenError::damaged(&path, detail));
        }
        if before.last + 1 != first {
            return Err(OpenError::Gap { file: path, from: before.last + 1, to: first - 1 });
        }
        let mut segment = Segment::empty(path, first);
        segment::scan(&mut connection, &mut segment, &mut |_, _| Ok(()))?;
        span = Some(JournalRange { last: segment.last, ..before });
    }
    span.ok_or_else(|| OpenError::io(&dir, std::io::ErrorKind::NotFound.into()))
}

/// Moves the journal of a restored backup to a new epoch, and returns it. Cursors and leases of the
/// old epoch are invalid then. The ledger must be moved to the same epoch before both are opened.
pub fn begin_epoch(data_dir: &Path, now: Millis) -> Result<u64, OpenError> {
    let files = segment::list(&data_dir.join("journal"))?;
    let mut new = None;
    for (_, path) in files {
        let mut connection = segment::open(&path)?;
        let old = segment::check_meta(&mut connection, &path)?;
        let new = *new.get_or_insert_with(|| epoch::restored_epoch(old, now));
        segment::set_epoch(&mut connection, new)
            .map_err(|error| OpenError::damaged(&path, error))?;
    }
    new.ok_or_else(|| OpenError::io(data_dir, std::io::ErrorKind::NotFound.into()))
}
