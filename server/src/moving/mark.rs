//! What a data directory says of its move, so that no server goes on with a state that has
//! another home.

use std::io::Write;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::MoveError;

const NAME: &str = "moved.json";
const FORMAT: u32 = 1;

/// Where a directory goes or went.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Mark {
    format: u32,
    pub(super) state: State,
    /// Without passwords.
    pub(super) store_url: String,
    pub(super) ledger_url: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum State {
    Moving,
    Moved,
}

fn path(dir: &Path) -> PathBuf {
    dir.join(NAME)
}

impl Mark {
    pub(super) fn new(state: State, store_url: String, ledger_url: String) -> Self {
        Self { format: FORMAT, state, store_url, ledger_url }
    }

    /// None where no move was begun.
    pub(super) fn read(dir: &Path) -> Result<Option<Self>, MoveError> {
        let path = path(dir);
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(MoveError::Io { path, source }),
        };
        match serde_json::from_str::<Self>(&text) {
            Ok(mark) if mark.format == FORMAT => Ok(Some(mark)),
            Ok(mark) => {
                let detail = format!("it has format {}, this version reads {FORMAT}", mark.format);
                Err(MoveError::Mark { path, detail })
            }
            Err(error) => Err(MoveError::Mark { path, detail: error.to_string() }),
        }
    }

    /// On the disk when it returns, whole or as before.
    pub(super) fn write(&self, dir: &Path) -> Result<(), MoveError> {
        let path = path(dir);
        let new = dir.join("moved.json.new");
        let put = || {
            let mut file = std::fs::File::create(&new)?;
            file.write_all(&serde_json::to_vec_pretty(self)?)?;
            file.sync_all()?;
            std::fs::rename(&new, &path)?;
            std::fs::File::open(dir)?.sync_all()
        };
        put().map_err(|source: std::io::Error| MoveError::Io { path: path.clone(), source })
    }

    /// Goes to the same stores, in whichever state.
    pub(super) fn is_to_same(&self, other: &Self) -> bool {
        (&self.store_url, &self.ledger_url) == (&other.store_url, &other.ledger_url)
    }

    /// Why no server must run on the directory.
    pub(super) fn refusal(self, dir: &Path) -> MoveError {
        let Self { state, store_url, ledger_url, .. } = self;
        let dir = dir.to_owned();
        match state {
            State::Moving => MoveError::Unfinished { dir, store_url, ledger_url },
            State::Moved => MoveError::Moved { dir, store_url, ledger_url },
        }
    }
}
