//! The programs that jobs may run, by the names that payloads use.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Programs by name.
#[derive(Clone, Debug, Default)]
pub struct Programs {
    by_name: BTreeMap<String, PathBuf>,
}

/// Why an entry was refused.
#[derive(Debug, thiserror::Error)]
pub enum ProgramError {
    /// Not written as expected.
    #[error("{entry:?}: expected NAME=/absolute/path")]
    Form {
        /// As given.
        entry: String,
    },
    /// Two entries of one name.
    #[error("program {name} is there twice")]
    Twice {
        /// As given.
        name: String,
    },
    /// It can not be looked at.
    #[error("program {name}: {}: {source}", path.display())]
    Path {
        /// As given.
        name: String,
        /// As given.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It is there, and nobody may execute it.
    #[error("program {name}: {} is no executable file", path.display())]
    NotExecutable {
        /// As given.
        name: String,
        /// As given.
        path: PathBuf,
    },
}

impl Programs {
    /// Reads entries such as `resize=/usr/bin/convert`, and looks at the files.
    ///
    /// # Errors
    /// The first entry that can not be run.
    pub fn read<'a>(entries: impl IntoIterator<Item = &'a str>) -> Result<Self, ProgramError> {
        let mut programs = Self::default();
        for entry in entries {
            let (name, path) = match entry.split_once('=') {
                Some((name, path)) if !name.trim().is_empty() && path.starts_with('/') => {
                    (name.trim().to_owned(), PathBuf::from(path))
                }
                _ => return Err(ProgramError::Form { entry: entry.to_owned() }),
            };
            check(&name, &path)?;
            if programs.by_name.insert(name.clone(), path).is_some() {
                return Err(ProgramError::Twice { name });
            }
        }
        Ok(programs)
    }

    /// Whether no program is allowed.
    pub fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }

    pub(super) fn get(&self, name: &str) -> Option<&Path> {
        self.by_name.get(name).map(PathBuf::as_path)
    }

    pub(super) fn names(&self) -> String {
        self.by_name.keys().map(String::as_str).collect::<Vec<_>>().join(", ")
    }
}

fn check(name: &str, path: &Path) -> Result<(), ProgramError> {
    let name = name.to_owned();
    match std::fs::metadata(path) {
        Err(source) => Err(ProgramError::Path { name, path: path.to_owned(), source }),
        Ok(found) if found.is_file() && found.permissions().mode() & 0o111 != 0 => Ok(()),
        Ok(_) => Err(ProgramError::NotExecutable { name, path: path.to_owned() }),
    }
}
