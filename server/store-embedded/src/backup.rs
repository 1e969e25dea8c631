//! Copies of a journal: taken beside a store that is at work, checked, and put to use.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use diesel::prelude::*;
use diesel::sql_types::Text;
use sentinel_domain::Millis;

use crate::journal::segment::{self, Segment};
use crate::{OpenError, epoch};

/// What a directory of journal files holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JournalSpan {
    pub epoch: u64,
    /// The first entry.
    pub first: u64,
    /// The last one; `first - 1` when there is none.
    pub last: u64,
}

/// The files of a journal, kept readable although its store may delete them meanwhile: what
/// is open stays until it is closed.
pub struct JournalPin {
    dir: PathBuf,
    open: BTreeMap<u64, (PathBuf, SqliteConnection)>,
}

impl JournalPin {
    /// Opens the files in the directory `journal` of a data directory that have an entry after
    /// `after`.
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

    /// Copies every file that is there or was taken into the directory `journal` of `dest`,
    /// each as it is at one moment. Files that vanish meanwhile are left out, with those before.
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

/// A connection that has read the file, and so holds all of it open. None when it is gone.
fn reader(path: &Path) -> Result<Option<SqliteConnection>, OpenError> {
    if !path.exists() {
        return Ok(None);
    }
    let mut connection = segment::connect(path)?;
    match segment::check_meta(&mut connection, path) {
        Ok(_) => Ok(Some(connection)),
        Err(_) if !path.exists() => Ok(None),
        Err(error) => Err(error),
    }
}

/// Answers the last entry of the copy.
fn copy_one(
    connection: &mut SqliteConnection,
    path: &Path,
    to: &Path,
) -> Result<Option<u64>, OpenError> {
    // A copy leaves out what a damaged page no longer shows.
    segment::check_pages(connection, path)?;
    let copy = diesel::sql_query("VACUUM INTO ?").bind::<Text, _>(to.to_string_lossy());
    copy.execute(connection).map_err(|error| OpenError::copy(path, to, error))?;
    let mut copied = segment::connect(to)?;
    segment::last(&mut copied).map_err(|error| OpenError::damaged(to, error))
}

/// Reads the files in the directory `journal` of a data directory or of a copy, from the first
/// entry to the last.
pub fn check_journal(data_dir: &Path) -> Result<JournalSpan, OpenError> {
    let dir = data_dir.join("journal");
    let mut span: Option<JournalSpan> = None;
    for (first, path) in segment::list(&dir)? {
        let mut connection = segment::connect(&path)?;
        let epoch = segment::check_meta(&mut connection, &path)?;
        let before = *span.get_or_insert(JournalSpan { epoch, first, last: first - 1 });
        if before.epoch != epoch {
            let detail = format!("it is of epoch {epoch}, the files before of {}", before.epoch);
            return Err(OpenError::damaged(&path, detail));
        }
        if before.last + 1 != first {
            return Err(OpenError::Gap { file: path, from: before.last + 1, to: first - 1 });
        }
        let mut segment = Segment::empty(path, first);
        segment::scan(&mut connection, &mut segment, &mut |_, _| Ok(()))?;
        span = Some(JournalSpan { last: segment.last, ..before });
    }
    span.ok_or_else(|| OpenError::io(&dir, std::io::ErrorKind::NotFound.into()))
}

/// Puts the journal of a copy that is to be used into a new epoch, and answers it. Leases,
/// cursors and lease numbers of the old one then mean nothing. The ledger beside it must
/// follow, before anything opens the two.
pub fn begin_epoch(data_dir: &Path, now: Millis) -> Result<u64, OpenError> {
    let files = segment::list(&data_dir.join("journal"))?;
    let mut new = None;
    for (_, path) in files {
        let mut connection = segment::connect(&path)?;
        let old = segment::check_meta(&mut connection, &path)?;
        let new = *new.get_or_insert_with(|| epoch::restored(old, now));
        segment::set_epoch(&mut connection, new)
            .map_err(|error| OpenError::damaged(&path, error))?;
    }
    new.ok_or_else(|| OpenError::io(data_dir, std::io::ErrorKind::NotFound.into()))
}
