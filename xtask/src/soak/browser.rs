//! The soak test of the panel: Chromium shows it for as long as the other soak tests run.

use std::path::Path;
use std::process::Command;

use anyhow::Result;

use crate::npm::WEB_TESTS;
use crate::{panel, tools, workspace};

/// Matched against `--only`, like the names of the other soak tests.
const NAME: &str = "panel::soak_memory_does_not_grow";

pub(super) fn is_wanted(only: Option<&str>) -> bool {
    only.is_none_or(|only| NAME.contains(only))
}

pub(super) fn runner(root: &Path, minutes: u64) -> Result<Command> {
    WEB_TESTS.ensure_modules(root)?;
    panel::ensure_built(root)?;
    let mut command = WEB_TESTS.npm(root, &["run", "--silent", "soak"]);
    command.env("SENTINEL_SOAK_MINUTES", minutes.to_string());
    command.env("SENTINEL_TEST_PROGRAMS", workspace::target_dir()?.join("debug"));
    command.envs(tools::variables(root));
    Ok(command)
}
