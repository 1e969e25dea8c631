//! The manifest of a backup. It is written last, so a directory with a manifest is complete.

use std::io::Read;
use std::path::{Path, PathBuf};

use sentinel_domain::Millis;
use sentinel_store::Position;
use sentinel_store_embedded::JournalRange;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::Xxh3;

use super::error::BackupError;

pub(super) const NAME: &str = "backup.json";

/// The format of the backup's layout. The files in it have their own formats.
const FORMAT: u32 = 1;

/// Describes the contents of a backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Manifest {
    pub(crate) format: u32,
    /// The version of the program that created the backup.
    pub(crate) version: String,
    pub(crate) created_at_ms: Millis,
    /// The last journal position that the copied ledger contains.
    pub(crate) checkpoint: String,
    pub(crate) epoch: u64,
    pub(crate) first_entry: u64,
    pub(crate) last_entry: u64,
    pub(crate) files: Vec<BackupFile>,
}

/// One file of a backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct BackupFile {
    /// Relative to the directory of the backup.
    pub(crate) path: String,
    pub(crate) bytes: u64,
    /// The XXH3-64 hash in hexadecimal. It detects corruption, not tampering.
    pub(crate) xxh3: String,
}

impl Manifest {
    /// Describes the files below `dir`, and reads them for their checksums.
    pub(super) fn new(
        dir: &Path,
        now: Millis,
        checkpoint: Position,
        span: JournalRange,
    ) -> Result<Self, BackupError> {
        let mut files = Vec::new();
        for path in files_below(dir, dir)? {
            let (bytes, xxh3) = checksum(&dir.join(&path))?;
            files.push(BackupFile { path, bytes, xxh3 });
        }
        Ok(Self {
            format: FORMAT,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            created_at_ms: now,
            checkpoint: checkpoint.to_string(),
            epoch: span.epoch,
            first_entry: span.first,
            last_entry: span.last,
            files,
        })
    }

    pub(super) fn write(&self, dir: &Path) -> Result<(), BackupError> {
        let path = dir.join(NAME);
        let text = serde_json::to_string_pretty(self).expect("a manifest is serializable");
        std::fs::write(&path, text + "\n").map_err(|source| BackupError::io(&path, source))
    }

    pub(super) fn read(dir: &Path) -> Result<Self, BackupError> {
        #[derive(Deserialize)]
        struct Head {
            format: u32,
            version: String,
        }
        let path = dir.join(NAME);
        if !path.is_file() {
            return Err(BackupError::NoManifest { dir: dir.to_owned() });
        }
        let text = std::fs::read(&path).map_err(|source| BackupError::io(&path, source))?;
        let invalid = |error: serde_json::Error| BackupError::InvalidManifest {
            path: path.clone(),
            detail: error.to_string(),
        };
        let Head { format, version } = serde_json::from_slice(&text).map_err(invalid)?;
        if format > FORMAT {
            return Err(BackupError::NewerFormat { path, found: format, known: FORMAT, version });
        }
        let manifest: Self = serde_json::from_slice(&text).map_err(invalid)?;
        let is_inside = |path: &str| path.split('/').all(|part| !["", ".", ".."].contains(&part));
        match manifest.files.iter().find(|file| !is_inside(&file.path)) {
            None => Ok(manifest),
            Some(file) => {
                let detail = format!("the path {:?} is outside of the backup", file.path);
                Err(BackupError::InvalidManifest { path, detail })
            }
        }
    }

    /// The total size of the files.
    pub(crate) fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }
}

/// Returns the sorted paths of all files below `dir`, relative to `root`.
fn files_below(root: &Path, dir: &Path) -> Result<Vec<String>, BackupError> {
    let failed = |source| BackupError::io(dir, source);
    let mut paths: Vec<PathBuf> = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(failed)? {
        paths.push(entry.map_err(failed)?.path());
    }
    paths.sort();
    let mut found = Vec::new();
    for path in paths {
        if path.is_dir() {
            found.extend(files_below(root, &path)?);
        } else {
            let path = path.strip_prefix(root).unwrap_or(&path);
            found.push(path.to_string_lossy().into_owned());
        }
    }
    Ok(found)
}

/// Returns the length and the checksum of a file.
pub(super) fn checksum(path: &Path) -> Result<(u64, String), BackupError> {
    let failed = |source| BackupError::io(path, source);
    let mut file = std::fs::File::open(path).map_err(failed)?;
    let mut hash = Xxh3::new();
    let mut bytes = 0;
    let mut buffer = vec![0; 1 << 20];
    loop {
        let read = file.read(&mut buffer).map_err(failed)?;
        if read == 0 {
            return Ok((bytes, format!("{:016x}", hash.digest())));
        }
        bytes += read as u64;
        hash.update(&buffer[..read]);
    }
}
