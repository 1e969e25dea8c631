//! The file in a data directory that says that the directory was imported elsewhere, so that no
//! server continues on stale data.

use std::io::Write;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::error::ImportError;

const NAME: &str = "moved.json";
const FORMAT: u32 = 1;

/// The state and the target of the import of a directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Marker {
    format: u32,
    pub(super) state: MarkerState,
    /// Without passwords.
    pub(super) store_url: String,
    /// Without passwords.
    pub(super) ledger_url: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum MarkerState {
    #[serde(rename = "moving")]
    Importing,
    #[serde(rename = "moved")]
    Imported,
}

fn path(dir: &Path) -> PathBuf {
    dir.join(NAME)
}

impl Marker {
    pub(super) fn new(state: MarkerState, store_url: String, ledger_url: String) -> Self {
        Self { format: FORMAT, state, store_url, ledger_url }
    }

    /// Reads the marker of a directory; none when no import was started.
    pub(super) fn read(dir: &Path) -> Result<Option<Self>, ImportError> {
        let path = path(dir);
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(ImportError::Io { path, source }),
        };
        match serde_json::from_str::<Self>(&text) {
            Ok(marker) if marker.format == FORMAT => Ok(Some(marker)),
            Ok(marker) => {
                let detail = format!(
                    "it has format {}, and this version supports {FORMAT}: use a newer version",
                    marker.format
                );
                Err(ImportError::InvalidMarker { path, detail })
            }
            Err(error) => Err(ImportError::InvalidMarker { path, detail: error.to_string() }),
        }
    }

    /// Writes the marker atomically and syncs it to disk.
    pub(super) fn write(&self, dir: &Path) -> Result<(), ImportError> {
        let path = path(dir);
        let temporary = dir.join("moved.json.new");
        let write = || {
            let mut file = std::fs::File::create(&temporary)?;
            file.write_all(&serde_json::to_vec_pretty(self)?)?;
            file.sync_all()?;
            std::fs::rename(&temporary, &path)?;
            std::fs::File::open(dir)?.sync_all()
        };
        write().map_err(|source: std::io::Error| ImportError::Io { path: path.clone(), source })
    }

    /// Whether both imports have the same target.
    pub(super) fn has_same_target(&self, other: &Self) -> bool {
        (&self.store_url, &self.ledger_url) == (&other.store_url, &other.ledger_url)
    }

    /// Returns the error that says why no server must run on the directory.
    pub(super) fn into_error(self, dir: &Path) -> ImportError {
        let Self { state, store_url, ledger_url, .. } = self;
        let dir = dir.to_owned();
        match state {
            MarkerState::Importing => ImportError::Unfinished { dir, store_url, ledger_url },
            MarkerState::Imported => ImportError::Imported { dir, store_url, ledger_url },
        }
    }
}
