//! The worker under test: a process of its own, so that it can be of any language, told to leave
//! by a signal and judged by its exit code.

use std::ffi::OsString;
use std::process::{ExitStatus, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::peer::{PATIENCE, Peer};

/// How a worker program is started.
#[derive(Clone, Debug)]
pub struct Runtime {
    program: OsString,
    args: Vec<OsString>,
}

impl Runtime {
    /// A program with the arguments that come before the agreed ones.
    pub fn new(
        program: impl Into<OsString>,
        args: impl IntoIterator<Item = impl Into<OsString>>,
    ) -> Self {
        Self { program: program.into(), args: args.into_iter().map(Into::into).collect() }
    }

    /// A worker of this peer.
    pub(crate) fn start(&self, peer: &Peer, flags: &[&str]) -> Worker {
        self.start_at(&[peer.url()], flags)
    }

    pub(crate) fn start_at(&self, endpoints: &[String], flags: &[&str]) -> Worker {
        let mut command = Command::new(&self.program);
        command.args(&self.args);
        for endpoint in endpoints {
            command.args(["--endpoint", endpoint]);
        }
        command.args(flags).stdin(Stdio::null()).kill_on_drop(true);
        command.stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| {
            panic!("can not start {}: {error}", self.program.to_string_lossy())
        });
        let stderr = child.stderr.take().unwrap();
        let (lines_tx, lines) = mpsc::channel(1024);
        tokio::spawn(async move {
            let mut stderr = BufReader::new(stderr).lines();
            while let Ok(Some(line)) = stderr.next_line().await {
                // Shown with the output of a scenario that fails.
                eprintln!("worker: {line}");
                // What a worker says beyond that is of no interest.
                let _ = lines_tx.try_send(line);
            }
        });
        Worker { child, lines }
    }
}

/// A running worker program; killed when it is dropped.
pub(crate) struct Worker {
    child: Child,
    lines: mpsc::Receiver<String>,
}

impl Worker {
    /// Asks it to leave in good order.
    pub(crate) fn leave(&self) {
        let id = self.child.id().expect("the worker is gone already");
        let pid = Pid::from_raw(i32::try_from(id).unwrap()).unwrap();
        kill_process(pid, Signal::TERM).unwrap();
    }

    /// Waits for its end.
    pub(crate) async fn end(&mut self) -> ExitStatus {
        let ended = timeout(PATIENCE, self.child.wait()).await;
        ended.expect("the worker program did not end").unwrap()
    }

    /// It has left with success.
    pub(crate) async fn left(mut self) {
        let status = self.end().await;
        assert!(status.success(), "a worker that was drained exits with 0, not with {status}");
    }

    /// All that it wrote to its error output, once it has ended.
    pub(crate) async fn told(mut self) -> String {
        let mut text = String::new();
        while let Some(line) = self.lines.recv().await {
            text.push_str(&line);
            text.push('\n');
        }
        text
    }
}
