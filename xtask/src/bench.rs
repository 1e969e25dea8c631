//! `cargo xtask bench`: numbers come from release binaries only, so they are built first.

use std::ffi::OsString;
use std::process::ExitCode;

use anyhow::Result;

use crate::{repo, shell};

pub(crate) fn run(args: &[OsString]) -> Result<ExitCode> {
    shell::run(shell::cargo(&["build", "--release"]).args([
        "--package=sentinel-server",
        "--package=sentinel-worker",
        "--package=sentinel-bench",
        "--bins",
    ]))?;
    let mut bench = shell::command(repo::target_dir()?.join("release/sentinel-bench"));
    Err(shell::become_program(bench.args(args)))
}
