//! The worker program under test. It runs as a separate process, so that it can be written in any
//! language. It is shut down by SIGTERM and judged by its frames and its exit code.

use std::ffi::OsString;
use std::process::{ExitStatus, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::scripted_server::{ScriptedServer, TIMEOUT};

/// The command that starts a worker program.
#[derive(Clone, Debug)]
pub struct WorkerProgram {
    program: OsString,
    args: Vec<OsString>,
}

impl WorkerProgram {
    /// A program with the arguments that precede those of the conformance tests.
    pub fn new(
        program: impl Into<OsString>,
        args: impl IntoIterator<Item = impl Into<OsString>>,
    ) -> Self {
        Self { program: program.into(), args: args.into_iter().map(Into::into).collect() }
    }

    /// Starts a worker of this server.
    pub(crate) fn start(&self, server: &ScriptedServer, flags: &[&str]) -> RunningWorker {
        self.start_at(&[server.url()], flags)
    }

    pub(crate) fn start_at(&self, endpoints: &[String], flags: &[&str]) -> RunningWorker {
        let mut command = Command::new(&self.program);
        command.args(&self.args);
        for endpoint in endpoints {
            command.args(["--endpoint", endpoint]);
        }
        command.args(flags).stdin(Stdio::null()).kill_on_drop(true);
        command.stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| {
            panic!("cannot start {}: {error}", self.program.to_string_lossy())
        });
        let stderr = child.stderr.take().unwrap();
        let (lines_tx, lines) = mpsc::channel(1024);
        tokio::spawn(async move {
            let mut stderr = BufReader::new(stderr).lines();
            while let Ok(Some(line)) = stderr.next_line().await {
                // The test harness shows the output of failed scenarios.
                eprintln!("worker: {line}");
                // Further lines are dropped when the channel is full.
                let _ = lines_tx.try_send(line);
            }
        });
        RunningWorker { child, lines }
    }
}

/// A running worker program, which is killed when this value is dropped.
pub(crate) struct RunningWorker {
    child: Child,
    lines: mpsc::Receiver<String>,
}

impl RunningWorker {
    /// Sends SIGTERM, which requests a graceful shutdown.
    pub(crate) fn request_shutdown(&self) {
        let id = self.child.id().expect("the worker has already exited");
        let pid = Pid::from_raw(i32::try_from(id).unwrap()).unwrap();
        kill_process(pid, Signal::TERM).unwrap();
    }

    /// Waits for the process to exit.
    pub(crate) async fn wait_for_exit(&mut self) -> ExitStatus {
        let status = timeout(TIMEOUT, self.child.wait()).await;
        status.expect("the worker program did not exit").unwrap()
    }

    /// Waits for the process to exit and asserts that it exited with 0.
    pub(crate) async fn assert_clean_exit(mut self) {
        let status = self.wait_for_exit().await;
        assert!(status.success(), "a drained worker must exit with 0, not with {status}");
    }

    /// Everything that the process wrote to stderr. Waits for it to exit.
    pub(crate) async fn stderr(mut self) -> String {
        let mut text = String::new();
        while let Some(line) = self.lines.recv().await {
            text.push_str(&line);
            text.push('\n');
        }
        text
    }
}
