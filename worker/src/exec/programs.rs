//! The programs that jobs may run, by name.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Paths of programs by the name that payloads use.
#[derive(Clone, Debug, Default)]
pub struct Programs {
    by_name: BTreeMap<String, PathBuf>,
}

/// Why an entry is invalid.
#[derive(Debug, thiserror::Error)]
pub enum ProgramError {
    /// The entry has the wrong form.
    #[error("{entry:?}: expected NAME=/absolute/path")]
    Form {
        /// The entry.
        entry: String,
    },
    /// Two entries have the same name.
    #[error("program {name} is listed twice")]
    Twice {
        /// The name of the program.
        name: String,
    },
    /// The file cannot be accessed.
    #[error("program {name}: {}: {source}", path.display())]
    Path {
        /// The name of the program.
        name: String,
        /// The path of the program.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// The path is not an executable file.
    #[error("program {name}: {} is not an executable file", path.display())]
    NotExecutable {
        /// The name of the program.
        name: String,
        /// The path of the program.
        path: PathBuf,
    },
}

impl Programs {
    /// Parses entries such as `resize=/usr/bin/convert` and checks the files.
    ///
    /// # Errors
    /// The first entry that is malformed or not executable.
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

    /// Returns whether no program is allowed.
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
