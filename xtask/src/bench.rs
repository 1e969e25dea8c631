//! `cargo xtask bench`: builds the release binaries, which all figures come from, and runs the bench.

use std::ffi::OsString;
use std::process::ExitCode;

use anyhow::Result;

use crate::{shell, workspace};

pub(crate) fn run(args: &[OsString]) -> Result<ExitCode> {
    shell::run(shell::cargo(&["build", "--release"]).args([
        "--package=sentinel-server",
        "--package=sentinel-worker",
        "--package=sentinel-bench",
        "--bins",
    ]))?;
    let mut bench = shell::command(workspace::target_dir()?.join("release/sentinel-bench"));
    Err(shell::become_program(bench.args(args)))
}
