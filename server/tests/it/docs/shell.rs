//! Commands of a page: each is run as it stands, in order. `ID` is the id that was printed last;
//! the addresses are those of the server under test. What goes on until it is stopped runs beside
//! the commands after it.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use tokio::process::Command;

use super::page::Block;
use crate::handlers::endpoint::Endpoint;
use crate::harness::{Ended, PATIENCE, Process, Worker, World, binary, run, until};
use crate::programs::tool;

/// Commands that end otherwise than with 0.
const CODES: &[(&str, i32)] = &[
    // A watched job that fails.
    ("demo.fail", 1),
];

/// Where `sentinel dev` has its gateway.
const GATEWAY: &str = "127.0.0.1:7080";

/// A watch, which ends with its job.
const WATCH: &str = "job watch ID";
/// What ends when it is stopped, and how its log says that it is at work.
const ENDLESS: &[(&str, &str)] =
    &[("sentinel serve", "serving"), ("sentinel dev", "serving"), ("sentinel-worker", "session")];

/// The servers of one page, and what its blocks left behind. Commands go to the server that
/// they started last; before, to one that is there.
pub(super) struct Session {
    endless: Vec<Process>,
    watches: Vec<Process>,
    id: String,
    /// Of its commands, for all that come after them.
    exports: String,
    endpoint: Endpoint,
    /// Its address, once a command asked for it.
    gateway: Option<(Process, String)>,
    _worker: Worker,
    world: World,
}

impl Session {
    pub(super) async fn start() -> Self {
        let world = World::start().await;
        let worker = world.worker("w1", &[]).await;
        let dir = world.dir.path();
        std::fs::write(dir.join("server"), world.server.url()).expect("a file");
        let here = dir.display();
        let server = format!(
            "case \"$1\" in serve|dev) export SENTINEL_LISTEN=127.0.0.1:0 \
             SENTINEL_OPS_LISTEN=127.0.0.1:0 SENTINEL_DATA_DIR={here}/here \
             SENTINEL_LOG_FORMAT=json;; *) export SENTINEL_SERVER=`cat {here}/server`;; esac"
        );
        script(dir, "sentinel", &format!("{server}\nexec {} \"$@\"", show("sentinel")));
        let server = format!("export SENTINEL_SERVER=`cat {here}/server`");
        let worker_line = format!("{server}\nexec {} \"$@\"", show("sentinel-worker"));
        script(dir, "sentinel-worker", &worker_line);
        symlink(tool("SENTINEL_TEST_GRPCURL", "grpcurl"), dir.join("bin/grpcurl")).expect("a link");
        Self {
            endless: Vec::new(),
            watches: Vec::new(),
            id: String::new(),
            exports: String::new(),
            endpoint: Endpoint::listen().await,
            gateway: None,
            _worker: worker,
            world,
        }
    }

    pub(super) async fn run(&mut self, block: &Block, says: &str) {
        let mut said = String::new();
        for command in commands(&block.code) {
            let line = command.replace("127.0.0.1:7070", &self.world.server.address);
            let line = line.replace("ENDPOINT", &self.endpoint.address.to_string());
            let line = self.through_gateway(line).await;
            if line.starts_with("export ") {
                self.exports.push_str(&format!("{line}\n"));
            } else if line.contains(WATCH) {
                let watch = self.beside(&with_id(&line, &self.id), self.watches.len());
                self.watches.push(watch);
            } else if let Some((name, says)) =
                ENDLESS.iter().find(|(name, _)| line.starts_with(name))
            {
                let process = self.beside(line.trim_end_matches('&'), self.endless.len() + 100);
                let what = format!("{block}: {line} is at work");
                let told = until(&what, PATIENCE, || async {
                    process.log().lines().find(|line| line.contains(says)).map(str::to_owned)
                })
                .await;
                if *name == "sentinel serve" {
                    let told: serde_json::Value = serde_json::from_str(&told).expect("JSON");
                    let address = told["address"].as_str().expect("an address");
                    let server = self.world.dir.path().join("server");
                    std::fs::write(server, format!("http://{address}")).expect("a file");
                }
                self.endless.push(process);
            } else {
                let line = format!("{}{}", self.exports, with_id(&line, &self.id));
                let ended = run(shell(self.world.dir.path(), &line)).await;
                self.expect(block, &line, &ended);
                if let Some(id) = ended.out.split([' ', '\n', '_', '"']).find(|word| is_id(word)) {
                    id.clone_into(&mut self.id);
                }
                said.push_str(&ended.out);
            }
        }
        assert!(said.contains(says), "{block} does not say {says:?}: {said}");
    }

    /// Starts a gateway for the first command that names one.
    async fn through_gateway(&mut self, line: String) -> String {
        if !line.contains(GATEWAY) {
            return line;
        }
        if self.gateway.is_none() {
            let mut command = Command::new(binary("sentinel-gateway"));
            command.args(["--server", &self.world.server.url(), "--listen", "127.0.0.1:0"]);
            command.args(["--ops-listen", "127.0.0.1:0", "--log-format", "json"]);
            let process = Process::start(command, &self.world.dir.path().join("gateway.log"));
            let told = until("the gateway serves", PATIENCE, || async {
                process.log().lines().find(|line| line.contains("serving")).map(str::to_owned)
            })
            .await;
            let told: serde_json::Value = serde_json::from_str(&told).expect("JSON");
            let address = told["address"].as_str().expect("an address").to_owned();
            self.gateway = Some((process, address));
        }
        let address = self.gateway.as_ref().map_or("", |(_, address)| address);
        line.replace(GATEWAY, address)
    }

    fn expect(&self, block: &Block, line: &str, ended: &Ended) {
        let code = CODES.iter().find(|(part, _)| line.contains(part)).map_or(0, |(_, code)| *code);
        assert_eq!(ended.code, code, "{block}: {line}: {ended:?}");
    }

    fn beside(&self, line: &str, number: usize) -> Process {
        let dir = self.world.dir.path();
        Process::start(
            shell(dir, &format!("exec {line}")),
            &dir.join(format!("beside-{number}.log")),
        )
    }

    /// The watches have come to their ends, and what goes on goes on.
    pub(super) async fn end(mut self) {
        for watch in &mut self.watches {
            let status = watch.end(PATIENCE).await;
            // 1: not all of the jobs succeeded.
            assert!(matches!(status.code(), Some(0 | 1)), "{status}: {}", watch.log());
        }
        for process in &mut self.endless {
            let ended = process.ended();
            assert!(ended.is_none(), "{ended:?}: {}", process.log());
        }
    }
}

/// Checks a block that can not be run here.
pub(super) async fn read(block: &Block) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    for name in ["sentinel", "sentinel-worker", "sentinel-gateway"] {
        script(dir.path(), name, &format!("exec {} \"$@\" --help", show(name)));
    }
    script(dir.path(), "cargo", &format!("shift\nexec {} \"$@\" --help", show("xtask")));
    let mut whole = Command::new("sh");
    whole.args(["-n", "-c", &block.code]);
    run(whole).await.ok();
    for line in commands(&block.code) {
        // Its program reads the flags; the help after them keeps it from doing anything.
        if ["sentinel ", "sentinel-worker ", "sentinel-gateway ", "cargo xtask "]
            .iter()
            .any(|ours| line.starts_with(ours))
        {
            let ended = run(shell(dir.path(), &line)).await;
            assert_eq!(ended.code, 0, "{block}: {line}: {ended:?}");
        }
    }
}

/// Reads a block as the settings of a server.
pub(super) async fn settings(block: &Block) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let file = dir.path().join("sentinel.toml");
    std::fs::write(&file, &block.code).expect("a file");
    let mut command = Command::new(binary("sentinel"));
    command.args(["serve", "--print-config", "--config"]).arg(&file);
    let ended = run(command).await;
    assert_eq!(ended.code, 0, "{block}: {ended:?}");
}

/// One command each: a line with those that continue it, by a backslash or within quotes.
fn commands(code: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let mut open = String::new();
    for line in code.lines() {
        open.push_str(line);
        let is_quoted = open.matches('\'').count() % 2 == 1;
        if is_quoted || line.ends_with('\\') {
            open.push('\n');
        } else {
            found.push(std::mem::take(&mut open));
        }
    }
    found.retain(|line| !line.trim().is_empty() && !line.trim_start().starts_with('#'));
    found
}

fn with_id(line: &str, id: &str) -> String {
    let words = line.split(' ').map(|word| if word == "ID" { id } else { word });
    words.collect::<Vec<_>>().join(" ").replace("/ID", &format!("/{id}"))
}

/// A job's or a key's: the form of a UUID, or 16 digits.
fn is_id(word: &str) -> bool {
    let is_part = |part: &str| part.chars().all(|digit| digit.is_ascii_hexdigit());
    let lengths: Vec<usize> = word.split('-').map(str::len).collect();
    matches!(lengths.as_slice(), [8, 4, 4, 4, 12] | [16]) && word.split('-').all(is_part)
}

fn show(name: &str) -> String {
    binary(name).display().to_string()
}

fn script(dir: &Path, name: &str, code: &str) {
    let bin = dir.join("bin");
    std::fs::create_dir_all(&bin).expect("a folder");
    let file = bin.join(name);
    std::fs::write(&file, format!("#!/bin/sh\n{code}\n")).expect("a script");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).expect("a mode");
}

fn shell(dir: &Path, line: &str) -> Command {
    let path = std::env::var("PATH").unwrap_or_default();
    let mut shell = Command::new("sh");
    shell.args(["-c", line]).current_dir(dir);
    shell.env("PATH", format!("{}:{path}", dir.join("bin").display()));
    shell
}
