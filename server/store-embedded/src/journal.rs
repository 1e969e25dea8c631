//! The journal on disk: one row per group commit, in files that are deleted whole.

mod log;
mod read;
pub(crate) mod segment;

use std::path::{Path, PathBuf};
use std::thread::JoinHandle;

use diesel::SqliteConnection;
use sentinel_domain::Millis;
use sentinel_store::{JournalEntry, TrimRequest, codec};

pub(crate) use self::read::{Older, Reader};
pub(crate) use self::segment::Row;
use self::segment::Segment;
use crate::OpenError;

/// Why an entry is not in the journal.
#[derive(Debug)]
pub(crate) enum AppendError {
    /// No room.
    Full(String),
    /// It may be there or not.
    Failed(String),
}

/// How the files are kept.
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
    /// By sequence; the last one is written.
    segments: Vec<Segment>,
    connection: SqliteConnection,
    /// The ledger has everything up to here, as far as it was told.
    projected: u64,
    /// Former files whose close copies much, so it is done aside.
    closing: Vec<JoinHandle<()>>,
}

impl Journal {
    /// Opens the files of a directory, checked from the first entry to the last, or begins a
    /// journal of epoch `now`. `visit` sees every entry.
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
            log::check(&path)?;
            let mut connection = segment::connect(&path)?;
            let of_file = segment::check_meta(&mut connection, &path)?;
            let epoch = *epoch.get_or_insert(of_file);
            if epoch != of_file {
                let detail = format!("it is of epoch {of_file}, the files before of {epoch}");
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
        let last = segments.last().expect("one was created where there was none");
        let mut connection = segment::connect(&last.path)?;
        segment::check_pages(&mut connection, &last.path)?;
        let epoch = epoch.expect("every file has one");
        Ok(Self { options, epoch, segments, connection, projected: 0, closing: Vec::new() })
    }

    /// The directory has a journal.
    pub(crate) fn is_there(dir: &Path) -> Result<bool, OpenError> {
        Ok(!segment::list(dir)?.is_empty())
    }

    pub(crate) fn epoch(&self) -> u64 {
        self.epoch
    }

    /// The first entry that is there, or that will be.
    pub(crate) fn first(&self) -> u64 {
        self.segments.first().map_or(1, |segment| segment.first)
    }

    pub(crate) fn last(&self) -> u64 {
        self.segments.last().map_or(0, |segment| segment.last)
    }

    /// Makes an entry durable. Gives the size of its stored form.
    pub(crate) fn append(&mut self, entry: &JournalEntry) -> Result<usize, AppendError> {
        let body = codec::encode_entry(entry);
        let is_full = |s: &Segment| s.bytes > 0 && s.bytes >= self.options.segment_bytes;
        if self.segments.last().is_some_and(is_full) {
            // The former file takes more; what is wrong with the disk shows at the insert.
            if let Err(error) = self.rotate(entry.position.seq) {
                tracing::warn!(%error, "no new journal file was begun");
            }
        }
        segment::insert(&mut self.connection, entry.position.seq, entry.at, &body)?;
        if let Some(segment) = self.segments.last_mut() {
            segment.note(entry.position.seq, entry.at, body.len());
        }
        Ok(body.len())
    }

    fn rotate(&mut self, first: u64) -> Result<(), OpenError> {
        let (first, path) = segment::create(&self.options.dir, self.epoch, first)?;
        let connection = segment::begin(&path).inspect_err(|_| {
            // An empty file that entries of the former one overtake would look like a gap.
            if let Err(error) = segment::delete(&path) {
                tracing::error!(path = %path.display(), %error, "delete this file before a restart");
            }
        })?;
        let former = std::mem::replace(&mut self.connection, connection);
        self.segments.push(Segment::empty(path, first));
        self.closing.retain(|closing| !closing.is_finished());
        let close = std::thread::Builder::new().name("sentinel-close".into());
        match close.spawn(move || drop(former)) {
            Ok(closing) => self.closing.push(closing),
            Err(error) => tracing::warn!(%error, "a journal file was closed in line"),
        }
        Ok(())
    }

    /// The ledger has everything up to here.
    pub(crate) fn note_projected(&mut self, seq: u64) {
        self.projected = self.projected.max(seq);
    }

    /// More than the journal may hold waits for the ledger, counted in whole files.
    pub(crate) fn is_behind(&self) -> bool {
        let waiting = self.segments.iter().filter(|segment| segment.first > self.projected);
        waiting.map(|segment| segment.bytes).sum::<u64>() > self.options.max_bytes
    }

    /// Deletes files whose entries are all projected, and old or too much.
    pub(crate) fn trim(&mut self, trim: &TrimRequest, projected: u64) {
        self.note_projected(projected);
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
                tracing::warn!(path = %oldest.path.display(), %error, "a journal file stays");
                return;
            }
            total -= oldest.bytes;
            self.segments.remove(0);
        }
    }

    /// The file that has an entry, none if it is gone.
    pub(crate) fn file_with(&self, seq: u64) -> Option<PathBuf> {
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
