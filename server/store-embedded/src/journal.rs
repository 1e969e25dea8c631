//! The journal on disk: one row per commit, in files that are deleted as a whole.

mod read;
pub(crate) mod segment;
mod wal;

use std::path::{Path, PathBuf};
use std::thread::JoinHandle;

use diesel::SqliteConnection;
use sentinel_domain::Millis;
use sentinel_store::{JournalEntry, TrimRequest, codec};

pub(crate) use self::read::{FileRead, Reader};
pub(crate) use self::segment::Row;
use self::segment::Segment;
use crate::OpenError;

/// Why an entry was not appended.
#[derive(Debug)]
pub(crate) enum AppendError {
    /// The disk is full.
    Full(String),
    /// The entry may or may not be stored.
    Failed(String),
}

/// The location and the size limits of the journal.
#[derive(Clone, Debug)]
pub(crate) struct JournalOptions {
    pub(crate) dir: PathBuf,
    pub(crate) segment_bytes: u64,
    pub(crate) max_bytes: u64,
}

/// The journal, open for appending.
pub(crate) struct Journal {
    options: JournalOptions,
    epoch: u64,
    /// Sorted by sequence number. Entries are appended to the last one.
    segments: Vec<Segment>,
    connection: SqliteConnection,
    /// The last known projected sequence number of the ledger.
    projected: u64,
    /// Threads that close former files. Closing checkpoints the write-ahead log, which is slow.
    closing: Vec<JoinHandle<()>>,
}

impl Journal {
    /// Opens the files of a directory and checks all entries. Without files, starts a journal of
    /// epoch `now`. `visit` gets every entry.
    pub(crate) fn open(
        options: JournalOptions,
        now: Millis,
        visit: &mut dyn FnMut(u64, Row, &Path) -> Result<(), OpenError>,
    ) -> Result<Self, OpenError> {
        let dir = &options.dir;
        std::fs::create_dir_all(dir).map_err(|source| OpenError::io(dir, source))?;
        let mut found = segment::list(dir)?;
        if found.is_empty() {
            let epoch = now.cast_unsigned();
            found.push(segment::create(dir, epoch, 1)?);
        }
        let mut segments: Vec<Segment> = Vec::with_capacity(found.len());
        let mut epoch = None;
        for (first, path) in found {
            wal::check(&path)?;
            let mut connection = segment::open(&path)?;
            let file_epoch = segment::check_meta(&mut connection, &path)?;
            let epoch = *epoch.get_or_insert(file_epoch);
            if epoch != file_epoch {
                let detail = format!("it has epoch {file_epoch}, but earlier files have {epoch}");
                return Err(OpenError::damaged(&path, detail));
            }
            if let Some(before) = segments.last()
                && before.last + 1 != first
            {
                return Err(OpenError::Gap { file: path, from: before.last + 1, to: first - 1 });
            }
            let mut segment = Segment::empty(path, first);
            segment::scan(&mut connection, &mut segment, &mut |row, path| visit(epoch, row, path))?;
            segments.push(segment);
        }
        let last = segments.last().expect("a file was created if there was none");
        let mut connection = segment::open(&last.path)?;
        segment::check_pages(&mut connection, &last.path)?;
        let epoch = epoch.expect("every file has an epoch");
        Ok(Self { options, epoch, segments, connection, projected: 0, closing: Vec::new() })
    }

    /// Returns whether the directory has a journal.
    pub(crate) fn exists(dir: &Path) -> Result<bool, OpenError> {
        Ok(!segment::list(dir)?.is_empty())
    }

    pub(crate) fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Returns the sequence number of the first stored entry, or of the next one if there is none.
    pub(crate) fn first(&self) -> u64 {
        self.segments.first().map_or(1, |segment| segment.first)
    }

    pub(crate) fn last(&self) -> u64 {
        self.segments.last().map_or(0, |segment| segment.last)
    }

    /// Appends an entry durably, and returns the size of its stored form.
    pub(crate) fn append(&mut self, entry: &JournalEntry) -> Result<usize, AppendError> {
        let body = codec::encode_entry(entry);
        let is_full = |s: &Segment| s.bytes > 0 && s.bytes >= self.options.segment_bytes;
        if self.segments.last().is_some_and(is_full) {
            // The current file can grow further. A broken disk also fails the insert.
            if let Err(error) = self.rotate(entry.position.seq) {
                tracing::warn!(%error, "failed to start a journal file, the current one grows");
            }
        }
        segment::insert(&mut self.connection, entry.position.seq, entry.at, &body)?;
        if let Some(segment) = self.segments.last_mut() {
            segment.update(entry.position.seq, entry.at, body.len());
        }
        Ok(body.len())
    }

    fn rotate(&mut self, first: u64) -> Result<(), OpenError> {
        let (first, path) = segment::create(&self.options.dir, self.epoch, first)?;
        let connection = segment::open_new(&path).inspect_err(|_| {
            // Further entries go to the current file, so an empty new one would look like a gap.
            if let Err(error) = segment::delete(&path) {
                let path = path.display();
                tracing::error!(%path, %error, "failed to delete an empty journal file");
            }
        })?;
        let previous = std::mem::replace(&mut self.connection, connection);
        self.segments.push(Segment::empty(path, first));
        self.closing.retain(|closing| !closing.is_finished());
        let close = std::thread::Builder::new().name("sentinel-close".into());
        match close.spawn(move || drop(previous)) {
            Ok(closing) => self.closing.push(closing),
            Err(error) => {
                tracing::warn!(%error, "failed to start a thread, closed a journal file in line");
            }
        }
        Ok(())
    }

    /// Sets the projected sequence number of the ledger.
    pub(crate) fn set_projected(&mut self, seq: u64) {
        self.projected = self.projected.max(seq);
    }

    /// Returns whether the files that are not projected exceed the size limit.
    pub(crate) fn exceeds_limit(&self) -> bool {
        let waiting = self.segments.iter().filter(|segment| segment.first > self.projected);
        waiting.map(|segment| segment.bytes).sum::<u64>() > self.options.max_bytes
    }

    /// Deletes projected files that are old or exceed the size limit.
    pub(crate) fn trim(&mut self, trim: &TrimRequest, projected: u64) {
        self.set_projected(projected);
        let mut total: u64 = self.segments.iter().map(|segment| segment.bytes).sum();
        while self.segments.len() > 1 {
            let oldest = &self.segments[0];
            let is_unneeded =
                oldest.last_at < trim.journal_before || total > self.options.max_bytes;
            if oldest.last > projected || !is_unneeded {
                return;
            }
            for closing in self.closing.drain(..) {
                let _ = closing.join();
            }
            if let Err(error) = segment::delete(&oldest.path) {
                let path = oldest.path.display();
                tracing::warn!(%path, %error, "failed to delete a journal file");
                return;
            }
            total -= oldest.bytes;
            self.segments.remove(0);
        }
    }

    /// Returns the file that contains an entry, if it was not deleted.
    pub(crate) fn file_of(&self, seq: u64) -> Option<PathBuf> {
        let at = self.segments.partition_point(|segment| segment.first <= seq);
        Some(self.segments.get(at.checked_sub(1)?)?.path.clone())
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        for closing in self.closing.drain(..) {
            let _ = closing.join();
        }
    }
}
