//! The release binaries that the bench starts.

use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};

/// The path of a program in the folder of this one.
pub(crate) fn beside(name: &str) -> Result<PathBuf> {
    let own = std::env::current_exe().context("find the path of this program")?;
    let path = own.with_file_name(name);
    if !path.exists() {
        bail!("{} does not exist: build it with cargo xtask bench", path.display());
    }
    Ok(path)
}
