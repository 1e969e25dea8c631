//! Commands that run to completion: the command line, grpcurl, Python.

use std::ffi::OsStr;
use std::process::Stdio;

use tokio::process::Command;

use super::process::remove_settings;
use super::{TIMEOUT, binary};

/// The exit code and the output of a command.
#[derive(Debug)]
pub(crate) struct CommandOutput {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl CommandOutput {
    /// Returns each line of standard output as JSON.
    pub(crate) fn json(&self) -> Vec<serde_json::Value> {
        let line = |line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {self:?}"));
        self.stdout.lines().map(line).collect()
    }

    /// Returns standard output; panics when the exit code is not 0.
    pub(crate) fn ok(self) -> String {
        assert_eq!(self.code, 0, "{self:?}");
        self.stdout
    }
}

/// Runs a command to completion, without the Sentinel settings of the test's environment.
pub(crate) async fn run(mut command: Command) -> CommandOutput {
    remove_settings(&mut command);
    let output = command.stdin(Stdio::null()).kill_on_drop(true).output();
    let output = tokio::time::timeout(TIMEOUT, output).await;
    let output = output.unwrap_or_else(|_| panic!("{command:?} still runs after {TIMEOUT:?}"));
    let output = output.unwrap_or_else(|error| panic!("{command:?}: {error}"));
    CommandOutput {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// Runs `sentinel` with these arguments.
pub(crate) async fn sentinel<I: IntoIterator<Item: AsRef<OsStr>>>(args: I) -> CommandOutput {
    let mut command = Command::new(binary("sentinel"));
    command.args(args);
    run(command).await
}
