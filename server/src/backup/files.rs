//! Files and directories of backups and restores.

use std::path::Path;

use super::error::BackupError;
use super::manifest;

/// The directory that a restore writes to before it moves the files into place.
pub(super) const RESTORING: &str = "restoring";

/// Returns an error when a server must not run on a directory, because it is a backup or a
/// restore into it is unfinished.
pub(crate) fn check_servable(dir: &Path) -> Result<(), BackupError> {
    if dir.join(manifest::NAME).exists() {
        return Err(BackupError::IsBackup { dir: dir.to_owned() });
    }
    if dir.join(RESTORING).exists() {
        return Err(BackupError::UnfinishedRestore { dir: dir.to_owned() });
    }
    Ok(())
}

/// Whether a directory is absent or has no entries.
pub(super) fn is_empty(dir: &Path) -> Result<bool, BackupError> {
    match std::fs::read_dir(dir) {
        Ok(mut entries) => Ok(entries.next().is_none()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(true),
        Err(source) => Err(BackupError::io(dir, source)),
    }
}

/// Syncs all files and directories below `dir`, and `dir` itself, to disk.
pub(super) fn sync_tree(dir: &Path) -> Result<(), BackupError> {
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

/// Syncs a file or a directory to disk.
pub(super) fn sync(path: &Path) -> Result<(), BackupError> {
    let synced = std::fs::File::open(path).and_then(|file| file.sync_all());
    synced.map_err(|source| BackupError::io(path, source))
}
