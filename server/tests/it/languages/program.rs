//! The test programs of each language: a worker with the conformance handlers, and applications
//! that enqueue or watch. A killed application is restarted from the lines that it had printed.

use std::path::{Path, PathBuf};

use sentinel_client::proto::jobs::v1::{JobState, StateReason};
use serde_json::Value;
use tokio::process::Command;

use crate::harness::{Process, TestServer, binary};
use crate::history::{AcknowledgedCancel, History, ObservedJob, RecordedEvent};

/// The number of steps that a restarted producer repeats; their results must be the same.
const REPEATED_STEPS: u64 = 2;

/// Returns the root of the workspace.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace")
}

/// Returns the path of a file that a step of `cargo xtask test` builds.
pub(crate) fn built(path: &str, step: &str) -> PathBuf {
    let path = root().join(path);
    let missing = format!("{} is missing: run cargo xtask test --only {step}", path.display());
    assert!(path.exists(), "{missing}");
    path
}

/// Returns a command of the Python interpreter with the SDK.
pub(crate) fn python() -> Command {
    Command::new(built("target/python/venv/bin/python", "python"))
}

fn python_program(name: &str) -> Command {
    let mut python = python();
    python.arg(root().join(format!("client-sdk/python/tests/{name}.py")));
    python
}

fn node_program(name: &str) -> Command {
    let mut node = Command::new("node");
    node.arg(built(&format!("client-sdk/node/dist/test/{name}.js"), "node"));
    node
}

/// A language with an SDK.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Language {
    Rust,
    Node,
    Python,
}

impl Language {
    pub(crate) const ALL: [Language; 3] = [Language::Rust, Language::Node, Language::Python];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Language::Rust => "rust",
            Language::Node => "node",
            Language::Python => "python",
        }
    }

    /// Starts a worker with the conformance handlers and waits for its session.
    pub(crate) async fn start_worker(self, server: &TestServer, instance: &str) -> Process {
        self.start_worker_with(server, instance, &[]).await
    }

    /// Like [`Self::start_worker`], with additional flags.
    pub(crate) async fn start_worker_with(
        self,
        server: &TestServer,
        instance: &str,
        more: &[&str],
    ) -> Process {
        let mut command = self.worker_command(&server.url(), instance);
        command.args(more);
        let log = server.dir.path().join(format!("worker-{instance}.log"));
        let process = Process::start(command, &log);
        server.wait_for_sessions(instance, 1).await;
        process
    }

    /// Returns the command of the worker with the conformance handlers.
    pub(crate) fn worker_command(self, url: &str, instance: &str) -> Command {
        let mut command = match self {
            Language::Rust => Command::new(binary("sentinel-conformance-worker")),
            Language::Node => node_program("conformance-worker"),
            Language::Python => python_program("conformance_worker"),
        };
        command.args(["--endpoint", url, "--instance", instance, "--concurrency", "4"]);
        command
    }

    /// Returns the command of a test program.
    pub(crate) fn program(self, name: &str) -> Command {
        match self {
            Language::Rust => unreachable!("Rust clients run in the test process"),
            Language::Node => node_program(name),
            Language::Python => python_program(name),
        }
    }
}

/// An application that can be restarted. It prints one JSON value per line to one file.
pub(crate) struct Application {
    pub(crate) process: Process,
    language: Language,
    /// `watch`, or `produce` with its seed.
    mode: [String; 2],
    url: String,
    dir: PathBuf,
    /// The last step that it had printed when it was killed.
    resumed_after: u64,
}

impl Application {
    pub(crate) fn watch(server: &TestServer, language: Language) -> Self {
        Self::start(server, language, ["watch".to_owned(), String::new()])
    }

    pub(crate) fn produce(server: &TestServer, language: Language, seed: u64) -> Self {
        Self::start(server, language, ["produce".to_owned(), seed.to_string()])
    }

    fn start(server: &TestServer, language: Language, mode: [String; 2]) -> Self {
        let (url, dir) = (server.url(), server.dir.path().to_owned());
        let process = launch(language, &mode, &url, &dir, &[]);
        Self { process, language, mode, url, dir, resumed_after: 0 }
    }

    /// Restarts the application: a watch at its last cursor, a producer a few steps before its
    /// last.
    pub(crate) fn restart(&mut self) {
        let printed = self.printed();
        self.resumed_after = steps(&printed).last().unwrap_or_default();
        self.process = launch(self.language, &self.mode, &self.url, &self.dir, &printed);
    }

    /// Returns whether the call that was interrupted by the last kill has completed.
    pub(crate) fn has_caught_up(&self) -> bool {
        steps(&self.printed()).any(|step| step > self.resumed_after)
    }

    /// Returns all complete lines so far.
    pub(crate) fn printed(&self) -> Vec<Value> {
        printed(&self.process)
    }

    pub(crate) fn has_printed(&self, field: &str) -> bool {
        self.printed().iter().any(|value| value.get(field).is_some())
    }
}

fn steps(printed: &[Value]) -> impl Iterator<Item = u64> {
    printed.iter().filter_map(|value| value["step"].as_u64())
}

fn printed(process: &Process) -> Vec<Value> {
    let log = process.log();
    let complete = log.rfind('\n').map_or("", |end| &log[..end]);
    complete.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

fn launch(
    language: Language,
    [mode, seed]: &[String; 2],
    url: &str,
    dir: &Path,
    printed: &[Value],
) -> Process {
    let mut command = language.program("producer");
    command.args([url, mode]);
    if mode == "watch" {
        let mut cursors = printed.iter().filter_map(|value| value["cursor"].as_str());
        command.arg(cursors.next_back().unwrap_or_default());
    } else {
        let from = steps(printed).last().unwrap_or_default().saturating_sub(REPEATED_STEPS);
        command.args([seed, &from.to_string()]).args([dir.join("effects"), dir.join("stop")]);
    }
    Process::start(command, &dir.join(format!("{}-{mode}.log", language.name())))
}

fn text(value: &Value) -> String {
    value.as_str().expect("a string").to_owned()
}

fn number(value: &Value) -> u64 {
    value.as_u64().expect("a number")
}

fn small<T: TryFrom<u64>>(value: &Value) -> T {
    T::try_from(number(value)).ok().expect("a small number")
}

/// Parses `[id, version, state, reason, run, attempt, result]`.
pub(crate) fn parse_observed(value: &Value) -> (String, ObservedJob) {
    let state = i32::try_from(number(&value[2])).ok();
    let reason = i32::try_from(number(&value[3])).ok();
    let job = ObservedJob {
        version: number(&value[1]),
        state: state.and_then(|state| JobState::try_from(state).ok()).expect("a state"),
        reason: reason.and_then(|reason| StateReason::try_from(reason).ok()).expect("a reason"),
        run: small(&value[4]),
        attempt: small(&value[5]),
        result: text(&value[6]),
    };
    (text(&value[0]), job)
}

/// Returns the events that a watch printed.
pub(crate) fn watch_events(watch: &Application) -> Vec<RecordedEvent> {
    let event = |value: &Value| {
        if let Some(change) = value.get("change") {
            let (id, job) = parse_observed(change);
            RecordedEvent::Change(id, job)
        } else if let Some(jobs) = value.get("snapshot") {
            RecordedEvent::Snapshot(
                jobs.as_array().expect("jobs").iter().map(parse_observed).collect(),
            )
        } else {
            RecordedEvent::Gap
        }
    };
    watch.printed().iter().map(event).collect()
}

/// Adds the responses that a producer printed to a history.
pub(crate) fn record(producer: &Application, history: &mut History) {
    for value in producer.printed() {
        if let Some(ids) = value["ids"].as_array() {
            let ids: Vec<String> = ids.iter().map(text).collect();
            history.acknowledged.extend(ids.iter().cloned());
            history.requests.entry(text(&value["request"])).or_default().insert(ids.join(" "));
        }
        if let Some([id, run, version, lines]) = value["cancelled"].as_array().map(Vec::as_slice) {
            history.cancels.push(AcknowledgedCancel {
                id: text(id),
                run: small(run),
                version: number(version),
                lines_before: small(lines),
            });
        }
        if let Some([id, run]) = value["retried"].as_array().map(Vec::as_slice) {
            history.retries.push((text(id), small(run)));
        }
    }
}
