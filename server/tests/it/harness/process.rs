//! A child process whose output goes to a file. A failed test prints the end of that file.

use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};

/// Lines of each log file that a failed test prints.
const TAIL: usize = 60;

/// Removes the environment variables of Sentinel, so that the developer's own settings do not
/// reach the processes under test.
pub(crate) fn remove_settings(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("SENTINEL_") {
            command.env_remove(name);
        }
    }
}

/// A running child process; killed when dropped.
pub(crate) struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts a program and appends its standard output and standard error to `log`.
    pub(crate) fn start(mut command: Command, log: &Path) -> Self {
        let open = || -> File {
            OpenOptions::new().append(true).create(true).open(log).expect("open a log file")
        };
        remove_settings(&mut command);
        let child = command
            .stdin(Stdio::null())
            .stdout(open())
            .stderr(open())
            .kill_on_drop(true)
            .spawn()
            .unwrap_or_else(|error| panic!("start {command:?}: {error}"));
        Self { child, log: log.to_owned() }
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Returns the resident memory of the process.
    pub(crate) fn resident_bytes(&self) -> u64 {
        let id = self.child.id().expect("a running process");
        let text = std::fs::read_to_string(format!("/proc/{id}/status")).expect("read its status");
        let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a VmRSS line");
        let kib: u64 = line.trim().trim_end_matches(" kB").parse().expect("a number of KiB");
        kib << 10
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let id = self.child.id().expect("a running process");
        let pid = Pid::from_raw(id.cast_signed()).expect("a process id");
        kill_process(pid, signal).expect("send a signal to a child process");
    }

    /// Sends SIGKILL and waits for the exit.
    pub(crate) async fn kill(&mut self) {
        self.child.kill().await.expect("kill a child process");
    }

    /// Returns the exit status, or `None` while the process runs.
    pub(crate) fn exit_status(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("poll a child process")
    }

    /// Waits for the exit; panics after the limit.
    pub(crate) async fn wait_exit(&mut self, limit: Duration) -> ExitStatus {
        tokio::time::timeout(limit, self.child.wait())
            .await
            .unwrap_or_else(|_| panic!("{} still runs after {limit:?}", self.log.display()))
            .expect("wait for a child process")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.log();
            let lines: Vec<&str> = log.lines().collect();
            let tail = lines[lines.len().saturating_sub(TAIL)..].join("\n");
            eprintln!("--- end of {}\n{tail}", self.log.display());
        }
    }
}
