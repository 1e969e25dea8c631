//! The root of the checkout and its files.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// Directories with generated or installed files.
const SKIPPED: [&str; 7] =
    ["target", "node_modules", ".git", ".sentinel", "dist", "build", "__pycache__"];

/// The root of the checkout. Compiled in, so every subcommand works from any folder.
pub(crate) fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().expect("xtask/ is inside the workspace").to_path_buf()
}

/// Every file under `root` that people write, relative to it, sorted.
pub(crate) fn files(root: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut left = vec![root.to_path_buf()];
    while let Some(folder) = left.pop() {
        let entries = folder.read_dir().with_context(|| format!("list {}", folder.display()))?;
        for entry in entries {
            let entry = entry?;
            let kind = entry.file_type()?;
            if kind.is_dir() && !SKIPPED.iter().any(|name| entry.file_name() == *name) {
                left.push(entry.path());
            } else if kind.is_file() {
                found.push(entry.path().strip_prefix(root)?.to_path_buf());
            }
        }
    }
    found.sort();
    Ok(found)
}
