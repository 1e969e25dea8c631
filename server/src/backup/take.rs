//! Taking a backup: copy, check, describe, and only then give it its name.

use std::path::{Path, PathBuf};

use sentinel_domain::Millis;
use sentinel_ledger::{check_ledger, copy_ledger, ledger_checkpoint};
use sentinel_store_embedded::{DirLock, JournalPin, check_journal};

use super::{BackupError, JOURNAL, LEDGER, LOCK, Manifest, refuse_to_serve, sync, sync_tree};

/// Copies a data directory to `dest`, beside a server that uses it or not. Until the copy is
/// whole and checked it is called `<dest>.partial`; one that was left there is replaced.
pub(crate) fn take(data: &Path, dest: &Path, now: Millis) -> Result<Manifest, BackupError> {
    refuse_to_serve(data)?;
    if !data.join(LEDGER).is_file() || !data.join(JOURNAL).is_dir() {
        return Err(BackupError::NoData { dir: data.to_owned() });
    }
    let (data, dest) = (absolute(data)?, absolute(dest)?);
    if dest.starts_with(&data) {
        return Err(BackupError::Within { dest, data });
    }
    if !is_empty(&dest)? {
        return Err(BackupError::NotEmpty { dir: dest });
    }
    let partial = partial(&dest);
    // Two backups to one place would mix.
    let lock = DirLock::acquire(&partial)?;
    clear(&partial)?;
    let checkpoint = ledger_checkpoint(&data.join(LEDGER))?;
    let pin = JournalPin::take(&data, checkpoint.seq)?;
    copy_ledger(&data.join(LEDGER), &partial.join(LEDGER))?;
    pin.copy(&partial)?;
    let manifest = describe(&partial, now)?;
    manifest.write(&partial)?;
    sync_tree(&partial)?;
    std::fs::rename(&partial, &dest).map_err(|source| BackupError::io(&dest, source))?;
    let lock_file = dest.join(LOCK);
    std::fs::remove_file(&lock_file).map_err(|source| BackupError::io(&lock_file, source))?;
    drop(lock);
    sync(dest.parent().unwrap_or(Path::new("/")))?;
    Ok(manifest)
}

/// Reads the whole copy: one that nobody has read is not known to be one.
fn describe(partial: &Path, now: Millis) -> Result<Manifest, BackupError> {
    let checkpoint = check_ledger(&partial.join(LEDGER))?;
    let span = check_journal(partial)?;
    let has_all = span.first <= checkpoint.seq + 1 && checkpoint.seq <= span.last;
    if !has_all || (checkpoint.seq > 0 && checkpoint.epoch != span.epoch) {
        let (epoch, first, last) = (span.epoch, span.first, span.last);
        return Err(BackupError::Apart { checkpoint, epoch, first, last });
    }
    let mut manifest = Manifest::of(partial, now, checkpoint, span)?;
    manifest.files.retain(|file| file.path != LOCK);
    Ok(manifest)
}

/// Where a copy grows.
pub(crate) fn partial(dest: &Path) -> PathBuf {
    let mut name = dest.as_os_str().to_owned();
    name.push(".partial");
    name.into()
}

fn absolute(path: &Path) -> Result<PathBuf, BackupError> {
    let path = std::path::absolute(path).map_err(|source| BackupError::io(path, source))?;
    // A slash at the end would put the partial copy into the directory.
    Ok(path.components().collect())
}

/// It is not there, or there is nothing in it.
pub(super) fn is_empty(dir: &Path) -> Result<bool, BackupError> {
    match std::fs::read_dir(dir) {
        Ok(mut entries) => Ok(entries.next().is_none()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(true),
        Err(source) => Err(BackupError::io(dir, source)),
    }
}

/// Deletes what an earlier try left, but not the lock.
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
