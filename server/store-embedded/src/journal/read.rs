//! Entries that are no longer in memory, read beside the store's thread.

use std::path::PathBuf;
use std::sync::Arc;

use diesel::SqliteConnection;
use sentinel_store::{JournalEntry, Position, StoreError, codec};

use super::segment;

/// Stored bytes that one read takes at the most, one entry over.
const READ_BYTES: usize = 8 << 20;

/// Where older entries are.
#[derive(Debug)]
pub(crate) struct Older {
    pub(crate) file: PathBuf,
    pub(crate) after: Position,
    pub(crate) limit: usize,
    /// The newest durable entry: nothing after it is shown.
    pub(crate) head: u64,
}

/// A reader that keeps its file open, since who reads old entries reads on.
#[derive(Default)]
pub(crate) struct Reader {
    open: Option<(PathBuf, SqliteConnection)>,
    names: codec::NamePool,
}

impl Reader {
    /// The entries, or none when the file was trimmed meanwhile.
    pub(crate) fn read(&mut self, older: &Older) -> Result<Option<Vec<Arc<JournalEntry>>>, StoreError> {
        let damaged =
            |detail: String| StoreError::Damaged(format!("{}: {detail}", older.file.display()));
        if !older.file.exists() {
            self.open = None;
            return Ok(None);
        }
        if self.open.as_ref().is_none_or(|(file, _)| *file != older.file) {
            let connection =
                segment::connect(&older.file).map_err(|error| damaged(error.to_string()))?;
            self.open = Some((older.file.clone(), connection));
        }
        let Some((_, connection)) = &mut self.open else { return Ok(None) };
        let rows = segment::read_after(connection, older.after.seq, older.limit, READ_BYTES)
            .map_err(|error| damaged(error.to_string()))?;
        let mut entries = Vec::with_capacity(rows.len());
        for row in rows {
            let seq = row.seq();
            if seq > older.head {
                break;
            }
            if seq != older.after.seq + 1 + entries.len() as u64 || !row.is_whole() {
                return Err(damaged(format!("entry {seq} is not what was written")));
            }
            let position = Position { epoch: older.after.epoch, seq };
            let entry = codec::decode_entry(position, row.body.into(), &mut self.names)
                .map_err(|error| damaged(error.to_string()))?;
            entries.push(Arc::new(entry));
        }
        if entries.is_empty() {
            return Err(damaged(format!("entry {} is missing", older.after.seq + 1)));
        }
        Ok(Some(entries))
    }
}
