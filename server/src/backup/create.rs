//! Creates a backup: copies, verifies, writes the manifest, and only then renames it to its
//! final name.

use std::path::{Path, PathBuf};

use sentinel_domain::Millis;
use sentinel_ledger::{check_ledger, copy_ledger, ledger_checkpoint};
use sentinel_store_embedded::{DirLock, JournalPin, check_journal};

use super::error::BackupError;
use super::files::{check_servable, is_empty, sync, sync_tree};
use super::manifest::Manifest;
use crate::data_dir::{JOURNAL, LEDGER, LOCK};

/// Copies a data directory to `dest`. A server may be using the directory. The copy is called
/// `<dest>.partial` until it is complete and verified; an earlier partial copy is replaced.
pub(crate) fn create(data: &Path, dest: &Path, now: Millis) -> Result<Manifest, BackupError> {
    check_servable(data)?;
    if !data.join(LEDGER).is_file() || !data.join(JOURNAL).is_dir() {
        return Err(BackupError::NoData { dir: data.to_owned() });
    }
    let (data, dest) = (absolute(data)?, absolute(dest)?);
    if dest.starts_with(&data) {
        return Err(BackupError::InsideData { dest, data });
    }
    if !is_empty(&dest)? {
        return Err(BackupError::NotEmpty { dir: dest });
    }
    let partial = partial_path(&dest);
    // The lock prevents two backups from writing to the same directory.
    let lock = DirLock::acquire(&partial)?;
    clear(&partial)?;
    let checkpoint = ledger_checkpoint(&data.join(LEDGER))?;
    let pin = JournalPin::take(&data, checkpoint.seq)?;
    copy_ledger(&data.join(LEDGER), &partial.join(LEDGER))?;
    pin.copy(&partial)?;
    let manifest = verify(&partial, now)?;
    manifest.write(&partial)?;
    sync_tree(&partial)?;
    std::fs::rename(&partial, &dest).map_err(|source| BackupError::io(&dest, source))?;
    let lock_file = dest.join(LOCK);
    std::fs::remove_file(&lock_file).map_err(|source| BackupError::io(&lock_file, source))?;
    drop(lock);
    sync(dest.parent().unwrap_or(Path::new("/")))?;
    Ok(manifest)
}

/// Reads the whole copy, checks that the journal continues the ledger, and describes it.
fn verify(partial: &Path, now: Millis) -> Result<Manifest, BackupError> {
    let checkpoint = check_ledger(&partial.join(LEDGER))?;
    let span = check_journal(partial)?;
    let is_contiguous = span.first <= checkpoint.seq + 1 && checkpoint.seq <= span.last;
    if !is_contiguous || (checkpoint.seq > 0 && checkpoint.epoch != span.epoch) {
        let (epoch, first, last) = (span.epoch, span.first, span.last);
        return Err(BackupError::JournalGap { checkpoint, epoch, first, last });
    }
    let mut manifest = Manifest::new(partial, now, checkpoint, span)?;
    manifest.files.retain(|file| file.path != LOCK);
    Ok(manifest)
}

/// The path of an unfinished backup.
pub(crate) fn partial_path(dest: &Path) -> PathBuf {
    let mut name = dest.as_os_str().to_owned();
    name.push(".partial");
    name.into()
}

fn absolute(path: &Path) -> Result<PathBuf, BackupError> {
    let path = std::path::absolute(path).map_err(|source| BackupError::io(path, source))?;
    // Drops a trailing slash, which would place `.partial` inside the directory.
    Ok(path.components().collect())
}

/// Deletes everything in the directory of an earlier attempt, except for the lock.
fn clear(partial: &Path) -> Result<(), BackupError> {
    let failed = |source| BackupError::io(partial, source);
    for entry in std::fs::read_dir(partial).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let path = entry.path();
        if entry.file_name() == LOCK {
            continue;
        }
        let removed = if path.is_dir() {
            std::fs::remove_dir_all(&path)
        } else {
            std::fs::remove_file(&path)
        };
        removed.map_err(|source| BackupError::io(&path, source))?;
    }
    Ok(())
}
