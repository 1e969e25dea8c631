//! What is where: the root of the checkout, its files, and the workspace as cargo sees it.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::shell;

/// Directories that hold nothing a person wrote.
const NOT_OURS: [&str; 6] = ["target", "node_modules", ".git", ".sentinel", "dist", "__pycache__"];

/// Builds what tests start as processes, as the tests themselves are built: every binary, and the
/// example that is one.
pub(crate) const BUILD: [&str; 7] =
    ["build", "--profile", "test", "--workspace", "--bins", "--example", "side_effects"];

/// The root of the checkout. Compiled in, so every verb works from any folder.
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
            if kind.is_dir() && !NOT_OURS.iter().any(|name| entry.file_name() == *name) {
                left.push(entry.path());
            } else if kind.is_file() {
                found.push(entry.path().strip_prefix(root)?.to_path_buf());
            }
        }
    }
    found.sort();
    Ok(found)
}

/// `cargo metadata` without dependencies: fast, and works offline.
pub(crate) fn members() -> Result<Value> {
    metadata(&["--no-deps"])
}

/// `cargo metadata` with every dependency that this platform builds. Fails when
/// Cargo.lock is out of step with the manifests.
pub(crate) fn packages() -> Result<Value> {
    let version = shell::output(shell::command("rustc").arg("-vV"))?;
    let Some(host) = version.lines().find_map(|line| line.strip_prefix("host: ")) else {
        bail!("`rustc -vV` names no host platform");
    };
    metadata(&["--locked", "--filter-platform", host])
}

fn metadata(args: &[&str]) -> Result<Value> {
    let mut command = shell::cargo(&["metadata", "--format-version=1"]);
    let text = shell::output(command.args(args))?;
    serde_json::from_str(&text).context("read the JSON of `cargo metadata`")
}

/// Where cargo puts what it builds, with CARGO_TARGET_DIR and configuration respected.
pub(crate) fn target_dir() -> Result<PathBuf> {
    let members = members()?;
    let path = members["target_directory"].as_str().context("cargo metadata: target_directory")?;
    Ok(PathBuf::from(path))
}
