//! The workspace as cargo describes it.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::shell;

/// Builds the programs that tests start, in the profile of the tests: every binary, and one example.
pub(crate) const BUILD: [&str; 7] =
    ["build", "--profile", "test", "--workspace", "--bins", "--example", "side_effects"];

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
