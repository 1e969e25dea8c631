//! `cargo xtask dev`: from a fresh clone to a running server in one command.

use std::ffi::OsString;
use std::process::ExitCode;

use anyhow::Result;

use crate::{paint, panel, repo, shell, workspace};

pub(crate) fn run(args: &[OsString]) -> Result<ExitCode> {
    let about = "building sentinel and sentinel-worker (a first build is minutes)";
    eprintln!("{}", paint::faint(about));
    std::thread::scope(|scope| {
        // In parallel: the first build mostly waits for npm downloads.
        scope.spawn(|| panel::ensure_for_dev(&repo::root()));
        let packages = ["build", "--package", "sentinel-server", "--package", "sentinel-worker"];
        shell::run(shell::cargo(&packages).arg("--bins"))
    })?;
    let mut sentinel = std::process::Command::new(workspace::target_dir()?.join("debug/sentinel"));
    sentinel.arg("dev").args(args);
    Err(shell::become_program(&mut sentinel))
}
