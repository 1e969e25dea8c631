//! The client program under test: a process that reads commands from stdin and writes responses.

use std::collections::HashMap;
use std::ffi::OsString;
use std::process::Stdio;
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

/// Longer than every deadline of a scenario.
const TIMEOUT: Duration = Duration::from_secs(75);

/// The command that starts a client program.
#[derive(Clone, Debug)]
pub struct ClientProgram {
    program: OsString,
    args: Vec<OsString>,
}

impl ClientProgram {
    /// A program with the arguments that precede those of the conformance tests.
    pub fn new(
        program: impl Into<OsString>,
        args: impl IntoIterator<Item = impl Into<OsString>>,
    ) -> Self {
        Self { program: program.into(), args: args.into_iter().map(Into::into).collect() }
    }

    pub(crate) fn start(&self, endpoints: &[String], flags: &[&str]) -> RunningClient {
        let mut command = Command::new(&self.program);
        command.args(&self.args);
        for endpoint in endpoints {
            command.args(["--endpoint", endpoint]);
        }
        command.args(flags).stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().unwrap_or_else(|error| {
            panic!("cannot start {}: {error}", self.program.to_string_lossy())
        });
        let (stdin, stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        RunningClient { child, stdin, lines: BufReader::new(stdout).lines(), last_id: 0 }
    }
}

/// A running client program, which is killed when this value is dropped.
pub(crate) struct RunningClient {
    child: Child,
    stdin: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
    last_id: u64,
}

/// What a call returned.
pub(crate) type CallResult = Result<Value, CallError>;

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct CallError {
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) reason: String,
    pub(crate) message: String,
    #[serde(default)]
    pub(crate) violations: Vec<Violation>,
    #[serde(default)]
    pub(crate) retry_delay_ms: u64,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Violation {
    pub(crate) field: String,
    pub(crate) description: String,
}

#[derive(Deserialize)]
struct ResponseLine {
    id: u64,
    ok: Option<Value>,
    error: Option<CallError>,
}

impl RunningClient {
    /// Sends commands, all at once; returns their first id.
    pub(crate) async fn send(&mut self, commands: Vec<Value>) -> u64 {
        let first = self.last_id + 1;
        let mut text = String::new();
        for mut command in commands {
            self.last_id += 1;
            command["id"] = self.last_id.into();
            text.push_str(&format!("{command}\n"));
        }
        self.stdin.write_all(text.as_bytes()).await.unwrap();
        self.stdin.flush().await.unwrap();
        first
    }

    /// Sends one command and returns its result.
    pub(crate) async fn call(&mut self, command: Value) -> CallResult {
        self.call_all(vec![command]).await.remove(0)
    }

    /// Sends commands, all at once, and returns their results in the same order.
    pub(crate) async fn call_all(&mut self, commands: Vec<Value>) -> Vec<CallResult> {
        let count = commands.len();
        let first = self.send(commands).await;
        self.results(first, count).await
    }

    /// The results of `count` commands that were sent from the id `first` on.
    pub(crate) async fn results(&mut self, first: u64, count: usize) -> Vec<CallResult> {
        let mut found = HashMap::new();
        while found.len() < count {
            let line = timeout(TIMEOUT, self.lines.next_line()).await;
            let line = line.expect("the client program did not respond").unwrap();
            let line = line.expect("the client program exited before its last response");
            let response: ResponseLine = serde_json::from_str(&line).unwrap();
            let result = match (response.ok, response.error) {
                (Some(ok), None) => Ok(ok),
                (None, Some(error)) => Err(error),
                _ => panic!("expected either ok or error: {line}"),
            };
            assert!(found.insert(response.id, result).is_none(), "a second response: {line}");
        }
        (first..).take(count).map(|id| found.remove(&id).expect("a response to each id")).collect()
    }

    /// Closes stdin and asserts that the program exits with 0.
    pub(crate) async fn assert_clean_exit(self) {
        let Self { mut child, stdin, lines, .. } = self;
        drop(stdin);
        let status = timeout(TIMEOUT, child.wait()).await;
        let status = status.expect("the client program did not exit after EOF").unwrap();
        drop(lines);
        assert!(status.success(), "the client program must exit with 0, not with {status}");
    }
}
