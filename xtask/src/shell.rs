//! Runs other programs: from the root of the checkout, without standard input, and without the
//! variables that `cargo run` sets.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitStatus, Stdio};

use anyhow::{Context, Result, bail};

use crate::repo;

/// A command that starts at the root of the checkout.
pub(crate) fn command(program: impl Into<OsString>) -> Command {
    let mut command = Command::new(program.into());
    command.current_dir(repo::root());
    // `cargo run` describes the xtask package in these variables. Build scripts that watch them
    // would run again at every change between `cargo` and `cargo xtask`.
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
            command.env_remove(&name);
        }
    }
    command
}

/// The cargo that started this program, so that a `+toolchain` is kept.
pub(crate) fn cargo(args: &[&str]) -> Command {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = command(program);
    command.args(args);
    command
}

/// Runs a command with visible output; an exit code other than 0 is an error.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let status = status(command)?;
    if !status.success() {
        bail!("`{}` ended with {status}", line(command));
    }
    Ok(())
}

/// Runs a command with visible output.
pub(crate) fn status(command: &mut Command) -> Result<ExitStatus> {
    command.stdin(Stdio::null());
    command.status().with_context(|| format!("start `{}`", line(command)))
}

/// The standard output of a command; an error contains its standard error.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    command.stdin(Stdio::null());
    let done = command.output().with_context(|| format!("start `{}`", line(command)))?;
    if !done.status.success() {
        let said = String::from_utf8_lossy(&done.stderr);
        bail!("`{}` ended with {}:\n{}", line(command), done.status, said.trim_end());
    }
    String::from_utf8(done.stdout).with_context(|| format!("`{}` wrote bytes", line(command)))
}

/// Whether a command starts and succeeds; its output is discarded.
pub(crate) fn succeeds(command: &mut Command) -> bool {
    let quiet = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    quiet.status().is_ok_and(|status| status.success())
}

/// Replaces this process by another program. Returns only when that cannot start.
pub(crate) fn become_program(command: &mut Command) -> anyhow::Error {
    let error = command.exec();
    anyhow::Error::new(error).context(format!("start `{}`", line(command)))
}

/// The command line, for messages.
pub(crate) fn line(command: &Command) -> String {
    let mut words = vec![command.get_program().to_string_lossy().into_owned()];
    words.extend(command.get_args().map(|arg| arg.to_string_lossy().into_owned()));
    if let Some(name) = words[0].rsplit('/').next() {
        words[0] = name.to_owned();
    }
    words.join(" ")
}
