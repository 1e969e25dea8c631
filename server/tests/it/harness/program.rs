//! A program that runs to its end: the command line, grpcurl, Python.

use std::ffi::OsStr;
use std::process::Stdio;

use tokio::process::Command;

use super::{PATIENCE, binary};

/// What a program left behind.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ended {
    /// Each line of standard output as JSON.
    pub(crate) fn json(&self) -> Vec<serde_json::Value> {
        let line = |line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {self:?}"));
        self.out.lines().map(line).collect()
    }

    /// Its output, after an exit code of 0.
    pub(crate) fn ok(self) -> String {
        assert_eq!(self.code, 0, "{self:?}");
        self.out
    }
}

/// Runs it to its end, without the settings of whoever runs the tests.
pub(crate) async fn run(mut command: Command) -> Ended {
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("SENTINEL_") {
            command.env_remove(name);
        }
    }
    let output = command.stdin(Stdio::null()).kill_on_drop(true).output();
    let output = tokio::time::timeout(PATIENCE, output).await;
    let output = output.unwrap_or_else(|_| panic!("{command:?} runs for over {PATIENCE:?}"));
    let output = output.unwrap_or_else(|error| panic!("{command:?}: {error}"));
    Ended {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// `sentinel ...`.
pub(crate) async fn sentinel<I: IntoIterator<Item: AsRef<OsStr>>>(args: I) -> Ended {
    let mut command = Command::new(binary("sentinel"));
    command.args(args);
    run(command).await
}
