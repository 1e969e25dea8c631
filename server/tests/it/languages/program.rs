//! The programs of each language: a worker with the agreed handlers, and applications that
//! enqueue or watch. A killed one is started again under what it had told.

use std::path::{Path, PathBuf};

use sentinel_client::proto::jobs::v1::{JobState, StateReason};
use serde_json::Value;
use tokio::process::Command;

use crate::harness::{Process, World, binary};
use crate::history::{Cancelled, History, Look, Seen};

/// Steps before the last one told that a producer does again: their answers must be the same.
const AGAIN: u64 = 2;

pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace")
}

/// What a step of `cargo xtask test` builds.
pub(crate) fn built(path: &str, step: &str) -> PathBuf {
    let path = root().join(path);
    let missing = format!("{} is missing: run cargo xtask test --only {step}", path.display());
    assert!(path.exists(), "{missing}");
    path
}

/// The Python that has the SDK.
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

    /// A worker with the agreed handlers, once its session has begun.
    pub(crate) async fn worker(self, world: &World, instance: &str) -> Process {
        self.worker_with(world, instance, &[]).await
    }

    /// The same with more flags.
    pub(crate) async fn worker_with(self, world: &World, instance: &str, more: &[&str]) -> Process {
        let mut command = self.worker_at(&world.server.url(), instance);
        command.args(more);
        let log = world.dir.path().join(format!("worker-{instance}.log"));
        let process = Process::start(command, &log);
        world.joined(instance, 1).await;
        process
    }

    /// The program of such a worker.
    pub(crate) fn worker_at(self, url: &str, instance: &str) -> Command {
        let mut command = match self {
            Language::Rust => Command::new(binary("sentinel-conformance-worker")),
            Language::Node => node_program("conformance-worker"),
            Language::Python => python_program("conformance_worker"),
        };
        command.args(["--endpoint", url, "--instance", instance, "--concurrency", "4"]);
        command
    }

    /// One of its test programs.
    pub(crate) fn program(self, name: &str) -> Command {
        match self {
            Language::Rust => unreachable!("its callers are in the process of the test"),
            Language::Node => node_program(name),
            Language::Python => python_program(name),
        }
    }
}

/// An application over its restarts. What it tells is kept in one file, one JSON value a line.
pub(crate) struct Application {
    pub(crate) process: Process,
    language: Language,
    /// `watch`, or `produce` with its seed.
    mode: [String; 2],
    url: String,
    dir: PathBuf,
    /// The last step that it had told when it was killed.
    resumed_after: u64,
}

impl Application {
    pub(crate) fn watch(world: &World, language: Language) -> Self {
        Self::start(world, language, ["watch".to_owned(), String::new()])
    }

    pub(crate) fn produce(world: &World, language: Language, seed: u64) -> Self {
        Self::start(world, language, ["produce".to_owned(), seed.to_string()])
    }

    fn start(world: &World, language: Language, mode: [String; 2]) -> Self {
        let (url, dir) = (world.server.url(), world.dir.path().to_owned());
        let process = launch(language, &mode, &url, &dir, &[]);
        Self { process, language, mode, url, dir, resumed_after: 0 }
    }

    /// After a kill: a watch goes on at the last cursor, a producer a little before where it was.
    pub(crate) fn restart(&mut self) {
        let told = self.told();
        self.resumed_after = steps(&told).last().unwrap_or_default();
        self.process = launch(self.language, &self.mode, &self.url, &self.dir, &told);
    }

    /// The call that a kill broke off has its answer by now.
    pub(crate) fn has_caught_up(&self) -> bool {
        steps(&self.told()).any(|step| step > self.resumed_after)
    }

    /// All that it told so far. A line that was cut off by a kill is none.
    pub(crate) fn told(&self) -> Vec<Value> {
        told(&self.process)
    }

    pub(crate) fn has_told(&self, what: &str) -> bool {
        self.told().iter().any(|value| value.get(what).is_some())
    }
}

fn steps(told: &[Value]) -> impl Iterator<Item = u64> {
    told.iter().filter_map(|value| value["step"].as_u64())
}

fn told(process: &Process) -> Vec<Value> {
    let log = process.log();
    let whole = log.rfind('\n').map_or("", |end| &log[..end]);
    whole.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

fn launch(
    language: Language,
    [mode, seed]: &[String; 2],
    url: &str,
    dir: &Path,
    told: &[Value],
) -> Process {
    let mut command = language.program("producer");
    command.args([url, mode]);
    if mode == "watch" {
        let mut cursors = told.iter().filter_map(|value| value["cursor"].as_str());
        command.arg(cursors.next_back().unwrap_or_default());
    } else {
        let from = steps(told).last().unwrap_or_default().saturating_sub(AGAIN);
        command.args([seed, &from.to_string()]).args([dir.join("effects"), dir.join("stop")]);
    }
    Process::start(command, &dir.join(format!("{}-{mode}.log", language.name())))
}

fn text(value: &Value) -> String {
    value.as_str().expect("a text").to_owned()
}

fn number(value: &Value) -> u64 {
    value.as_u64().expect("a number")
}

fn small<T: TryFrom<u64>>(value: &Value) -> T {
    T::try_from(number(value)).ok().expect("a small number")
}

/// `[id, version, state, reason, run, attempt, result]`
pub(crate) fn look(value: &Value) -> (String, Look) {
    let state = i32::try_from(number(&value[2])).ok();
    let reason = i32::try_from(number(&value[3])).ok();
    let look = Look {
        version: number(&value[1]),
        state: state.and_then(|state| JobState::try_from(state).ok()).expect("a state"),
        reason: reason.and_then(|reason| StateReason::try_from(reason).ok()).expect("a reason"),
        run: small(&value[4]),
        attempt: small(&value[5]),
        result: text(&value[6]),
    };
    (text(&value[0]), look)
}

/// What a watch showed.
pub(crate) fn seen(watch: &Application) -> Vec<Seen> {
    let event = |value: &Value| {
        if let Some(change) = value.get("change") {
            let (id, look) = look(change);
            Seen::Change(id, look)
        } else if let Some(jobs) = value.get("snapshot") {
            Seen::Snapshot(jobs.as_array().expect("jobs").iter().map(look).collect())
        } else {
            Seen::Gap
        }
    };
    watch.told().iter().map(event).collect()
}

/// What a producer was answered.
pub(crate) fn note(producer: &Application, history: &mut History) {
    for value in producer.told() {
        if let Some(ids) = value["ids"].as_array() {
            let ids: Vec<String> = ids.iter().map(text).collect();
            history.acknowledged.extend(ids.iter().cloned());
            history.requests.entry(text(&value["request"])).or_default().insert(ids.join(" "));
        }
        if let Some([id, run, version, lines]) = value["cancelled"].as_array().map(Vec::as_slice) {
            history.cancels.push(Cancelled {
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
