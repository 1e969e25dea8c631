//! Backup of a data directory beside a server that is at work, and restore into an empty one.
//!
//! The ledger is copied first and the journal after it: what the ledger lacks is then in the
//! journal, up to a moment after the backup began. Journal files are held open before, so
//! that none that the copy needs is gone by its turn.

mod error;
mod manifest;
mod restore;
mod take;

use std::path::Path;

pub(crate) use error::BackupError;
pub(crate) use manifest::Manifest;
pub(crate) use restore::restore;
pub(crate) use take::{partial, take};

/// Files of a data directory.
pub(crate) const LEDGER: &str = "ledger.sqlite";
const JOURNAL: &str = "journal";
const LOCK: &str = "lock";
const BALLAST: &str = "ballast";

/// There while a restore is under way.
const RESTORING: &str = "restoring";

/// Why a server must not run on a directory; none when it may.
pub(crate) fn refuse_to_serve(dir: &Path) -> Result<(), BackupError> {
    if dir.join(manifest::NAME).exists() {
        return Err(BackupError::IsBackup { dir: dir.to_owned() });
    }
    if dir.join(RESTORING).exists() {
        return Err(BackupError::Unfinished { dir: dir.to_owned() });
    }
    Ok(())
}

/// Makes files and the directories that hold them durable.
fn sync_tree(dir: &Path) -> Result<(), BackupError> {
    let failed = |source| BackupError::io(dir, source);
    for entry in std::fs::read_dir(dir).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.is_dir() {
            sync_tree(&path)?;
        } else {
            sync(&path)?;
        }
    }
    sync(dir)
}

fn sync(path: &Path) -> Result<(), BackupError> {
    let synced = std::fs::File::open(path).and_then(|file| file.sync_all());
    synced.map_err(|source| BackupError::io(path, source))
}

/// What the files below a directory add up to, as far as it can be told.
pub(crate) fn bytes_below(dir: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(dir) else { return 0 };
    let sizes = entries.flatten().map(|entry| match entry.metadata() {
        Ok(meta) if meta.is_dir() => bytes_below(&entry.path()),
        Ok(_) if entry.file_name() == BALLAST => 0,
        Ok(meta) => meta.len(),
        Err(_) => 0,
    });
    sizes.sum()
}
