//! Reads journal entries that are no longer in memory, on another thread than the store's.

use std::path::PathBuf;
use std::sync::Arc;

use diesel::SqliteConnection;
use sentinel_store::{JournalEntry, Position, StoreError, codec};

use super::segment;

/// The maximum number of stored bytes per read. The last entry may exceed it.
const READ_BYTES: usize = 8 << 20;

/// A read of read entries from a file.
#[derive(Debug)]
pub(crate) struct FileRead {
    pub(crate) file: PathBuf,
    pub(crate) after: Position,
    pub(crate) limit: usize,
    /// The head of the journal at the time of the request. Later entries are not returned.
    pub(crate) head: u64,
}

/// A reader that keeps its file open, because old entries are read sequentially.
#[derive(Default)]
pub(crate) struct Reader {
    open: Option<(PathBuf, SqliteConnection)>,
    names: codec::NamePool,
}

impl Reader {
    /// Returns the entries, or `None` if the file was trimmed meanwhile.
    pub(crate) fn read(
        &mut self,
        read: &FileRead,
    ) -> Result<Option<Vec<Arc<JournalEntry>>>, StoreError> {
        let damaged =
            |detail: String| StoreError::Damaged(format!("{}: {detail}", read.file.display()));
        if !read.file.exists() {
            self.open = None;
            return Ok(None);
        }
        if self.open.as_ref().is_none_or(|(file, _)| *file != read.file) {
            let connection =
                segment::open(&read.file).map_err(|error| damaged(error.to_string()))?;
            self.open = Some((read.file.clone(), connection));
        }
        let Some((_, connection)) = &mut self.open else { return Ok(None) };
        let rows = segment::read_after(connection, read.after.seq, read.limit, READ_BYTES)
            .map_err(|error| damaged(error.to_string()))?;
        let mut entries = Vec::with_capacity(rows.len());
        for row in rows {
            let seq = row.seq();
            if seq > read.head {
                break;
            }
            if seq != read.after.seq + 1 + entries.len() as u64 || !row.is_intact() {
                return Err(damaged(format!("entry {seq} is corrupt or out of sequence")));
            }
            let position = Position { epoch: read.after.epoch, seq };
            let entry = codec::decode_entry(position, row.body.into(), &mut self.names)
                .map_err(|error| damaged(error.to_string()))?;
            entries.push(Arc::new(entry));
        }
        if entries.is_empty() {
            return Err(damaged(format!("entry {} is missing", read.after.seq + 1)));
        }
        Ok(Some(entries))
    }
}
