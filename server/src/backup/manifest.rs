//! What a backup holds. Written last, so that a directory with one is whole.

use std::io::Read;
use std::path::{Path, PathBuf};

use sentinel_domain::Millis;
use sentinel_store::Position;
use sentinel_store_embedded::JournalSpan;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::Xxh3;

use super::BackupError;

pub(super) const NAME: &str = "backup.json";

/// Of the layout of a backup; the files in it have formats of their own.
const FORMAT: u32 = 1;

/// What a backup holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Manifest {
    pub(crate) format: u32,
    /// Of the program that took it.
    pub(crate) version: String,
    pub(crate) created_at_ms: Millis,
    /// How far the ledger of the backup has the journal.
    pub(crate) checkpoint: String,
    pub(crate) epoch: u64,
    pub(crate) first_entry: u64,
    pub(crate) last_entry: u64,
    pub(crate) files: Vec<Copied>,
}

/// One file of a backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Copied {
    /// From the directory of the backup.
    pub(crate) path: String,
    pub(crate) bytes: u64,
    /// Against accidents, not against attackers: 64 bits in hexadecimal.
    pub(crate) xxh3: String,
}

impl Manifest {
    /// Reads the files of `dir` for their sums.
    pub(super) fn of(
        dir: &Path,
        now: Millis,
        checkpoint: Position,
        span: JournalSpan,
    ) -> Result<Self, BackupError> {
        let mut files = Vec::new();
        for path in files_below(dir, dir)? {
            let (bytes, xxh3) = sum(&dir.join(&path))?;
            files.push(Copied { path, bytes, xxh3 });
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
        let text = serde_json::to_string_pretty(self).expect("a manifest has only plain values");
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
        let wrong = |error: serde_json::Error| BackupError::Manifest {
            path: path.clone(),
            detail: error.to_string(),
        };
        let Head { format, version } = serde_json::from_slice(&text).map_err(wrong)?;
        if format > FORMAT {
            return Err(BackupError::Newer { path, found: format, known: FORMAT, version });
        }
        let manifest: Self = serde_json::from_slice(&text).map_err(wrong)?;
        let is_plain = |path: &str| path.split('/').all(|part| !["", ".", ".."].contains(&part));
        match manifest.files.iter().find(|file| !is_plain(&file.path)) {
            None => Ok(manifest),
            Some(file) => {
                let detail = format!("{:?} leads out of the backup", file.path);
                Err(BackupError::Manifest { path, detail })
            }
        }
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }
}

/// The paths of all files, from `root`, in order.
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

/// Length and sum of a file.
pub(super) fn sum(path: &Path) -> Result<(u64, String), BackupError> {
    let failed = |source| BackupError::io(path, source);
    let mut file = std::fs::File::open(path).map_err(failed)?;
    let mut sum = Xxh3::new();
    let mut bytes = 0;
    let mut buffer = vec![0; 1 << 20];
    loop {
        let read = file.read(&mut buffer).map_err(failed)?;
        if read == 0 {
            return Ok((bytes, format!("{:016x}", sum.digest())));
        }
        bytes += read as u64;
        sum.update(&buffer[..read]);
    }
}
