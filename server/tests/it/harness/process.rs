//! A child process whose output goes to a file, which is shown when the test fails.

use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};

/// Lines of each process that a failed test shows.
const TAIL: usize = 60;

/// A running child; killed when dropped.
pub(crate) struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts a program; both of its outputs are appended to `log`.
    pub(crate) fn start(mut command: Command, log: &Path) -> Self {
        let open = || -> File {
            OpenOptions::new().append(true).create(true).open(log).expect("open a log file")
        };
        // Settings of whoever runs the tests must not reach the processes under test.
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("SENTINEL_") {
                command.env_remove(name);
            }
        }
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

    /// Memory that it takes up.
    pub(crate) fn resident_bytes(&self) -> u64 {
        let id = self.child.id().expect("the process runs");
        let text = std::fs::read_to_string(format!("/proc/{id}/status")).expect("its status");
        let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("its memory");
        let kib: u64 = line.trim().trim_end_matches(" kB").parse().expect("a number of KiB");
        kib << 10
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let id = self.child.id().expect("the process runs");
        let pid = Pid::from_raw(id.cast_signed()).expect("a process id");
        kill_process(pid, signal).expect("send a signal to a child");
    }

    /// SIGKILL, and gone when this returns.
    pub(crate) async fn kill(&mut self) {
        self.child.kill().await.expect("kill a child");
    }

    /// How it ended, when it has.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("the state of a child")
    }

    /// How it ended; panics when it has not within the limit.
    pub(crate) async fn end(&mut self, limit: Duration) -> ExitStatus {
        tokio::time::timeout(limit, self.child.wait())
            .await
            .unwrap_or_else(|_| panic!("{} still runs after {limit:?}", self.log.display()))
            .expect("the end of a child")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.log();
            let lines: Vec<&str> = log.lines().collect();
            let tail = lines[lines.len().saturating_sub(TAIL)..].join("\n");
            eprintln!("--- the end of {}\n{tail}", self.log.display());
        }
    }
}
