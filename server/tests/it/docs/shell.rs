//! Runs the shell commands of a page in order. `ID` stands for the last printed id, and addresses
//! are replaced by those of the server under test. Commands that run until they are stopped
//! continue in the background.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use tokio::process::Command;

use super::page::Block;
use crate::grpc_clients::tool;
use crate::handlers::endpoint::Endpoint;
use crate::harness::{
    CommandOutput, Process, TIMEOUT, TestServer, WorkerProcess, binary, run, wait_until,
};

/// Commands with an exit code other than 0.
const CODES: &[(&str, i32)] = &[
    // A watched job that fails.
    ("demo.fail", 1),
];

/// The address of the gateway of `sentinel dev`.
const GATEWAY: &str = "127.0.0.1:7080";

/// A watch, which ends with its job.
const WATCH: &str = "job watch ID";
/// Commands that run until they are stopped, and the text in their log when they are ready.
const BACKGROUND: &[(&str, &str)] =
    &[("sentinel serve", "serving"), ("sentinel dev", "serving"), ("sentinel-worker", "session")];

/// The shell session of one page. Commands use the server that a block of the page started last, or
/// the server of the fixture.
pub(super) struct ShellSession {
    background: Vec<Process>,
    watches: Vec<Process>,
    id: String,
    /// The `export` commands so far, which apply to all later commands.
    exports: String,
    endpoint: Endpoint,
    /// The gateway and its address, after the first command that uses it.
    gateway: Option<(Process, String)>,
    _worker: WorkerProcess,
    server: TestServer,
}

impl ShellSession {
    pub(super) async fn start() -> Self {
        let server = TestServer::start().await;
        let worker = server.start_worker("w1", &[]).await;
        let dir = server.dir.path();
        std::fs::write(dir.join("server"), server.url()).expect("a file");
        let here = dir.display();
        let environment = format!(
            "case \"$1\" in serve|dev) export SENTINEL_LISTEN=127.0.0.1:0 \
             SENTINEL_OPS_LISTEN=127.0.0.1:0 SENTINEL_DATA_DIR={here}/here \
             SENTINEL_LOG_FORMAT=json;; *) export SENTINEL_SERVER=`cat {here}/server`;; esac"
        );
        script(dir, "sentinel", &format!("{environment}\nexec {} \"$@\"", path_of("sentinel")));
        let environment = format!("export SENTINEL_SERVER=`cat {here}/server`");
        let worker_line = format!("{environment}\nexec {} \"$@\"", path_of("sentinel-worker"));
        script(dir, "sentinel-worker", &worker_line);
        symlink(tool("SENTINEL_TEST_GRPCURL", "grpcurl"), dir.join("bin/grpcurl")).expect("a link");
        Self {
            background: Vec::new(),
            watches: Vec::new(),
            id: String::new(),
            exports: String::new(),
            endpoint: Endpoint::listen().await,
            gateway: None,
            _worker: worker,
            server,
        }
    }

    pub(super) async fn run(&mut self, block: &Block, expected: &str) {
        let mut output = String::new();
        for command in commands(&block.code) {
            let line = command.replace("127.0.0.1:7070", &self.server.address);
            let line = line.replace("ENDPOINT", &self.endpoint.address.to_string());
            let line = self.with_gateway(line).await;
            if line.starts_with("export ") {
                self.exports.push_str(&format!("{line}\n"));
            } else if line.contains(WATCH) {
                let watch = self.spawn(&with_id(&line, &self.id), self.watches.len());
                self.watches.push(watch);
            } else if let Some((name, ready)) =
                BACKGROUND.iter().find(|(name, _)| line.starts_with(name))
            {
                let process = self.spawn(line.trim_end_matches('&'), self.background.len() + 100);
                let what = format!("{block}: {line} is ready");
                let log_line = wait_until(&what, TIMEOUT, || async {
                    process.log().lines().find(|line| line.contains(ready)).map(str::to_owned)
                })
                .await;
                if *name == "sentinel serve" {
                    let fields: serde_json::Value = serde_json::from_str(&log_line).expect("JSON");
                    let address = fields["address"].as_str().expect("a valid address");
                    let server = self.server.dir.path().join("server");
                    std::fs::write(server, format!("http://{address}")).expect("a file");
                }
                self.background.push(process);
            } else {
                let line = format!("{}{}", self.exports, with_id(&line, &self.id));
                let result = run(shell(self.server.dir.path(), &line)).await;
                self.check_exit_code(block, &line, &result);
                if let Some(id) =
                    result.stdout.split([' ', '\n', '_', '"']).find(|word| is_id(word))
                {
                    id.clone_into(&mut self.id);
                }
                output.push_str(&result.stdout);
            }
        }
        assert!(output.contains(expected), "{block} does not print {expected:?}: {output}");
    }

    /// Inserts the address of a gateway, which the first such command starts.
    async fn with_gateway(&mut self, line: String) -> String {
        if !line.contains(GATEWAY) {
            return line;
        }
        if self.gateway.is_none() {
            let mut command = Command::new(binary("sentinel-gateway"));
            command.args(["--server", &self.server.url(), "--listen", "127.0.0.1:0"]);
            command.args(["--ops-listen", "127.0.0.1:0", "--log-format", "json"]);
            let process = Process::start(command, &self.server.dir.path().join("gateway.log"));
            let log_line = wait_until("the gateway serves", TIMEOUT, || async {
                process.log().lines().find(|line| line.contains("serving")).map(str::to_owned)
            })
            .await;
            let fields: serde_json::Value = serde_json::from_str(&log_line).expect("JSON");
            let address = fields["address"].as_str().expect("a valid address").to_owned();
            self.gateway = Some((process, address));
        }
        let address = self.gateway.as_ref().map_or("", |(_, address)| address);
        line.replace(GATEWAY, address)
    }

    fn check_exit_code(&self, block: &Block, line: &str, output: &CommandOutput) {
        let code = CODES.iter().find(|(part, _)| line.contains(part)).map_or(0, |(_, code)| *code);
        assert_eq!(output.code, code, "{block}: {line}: {output:?}");
    }

    fn spawn(&self, line: &str, number: usize) -> Process {
        let dir = self.server.dir.path();
        Process::start(
            shell(dir, &format!("exec {line}")),
            &dir.join(format!("background-{number}.log")),
        )
    }

    /// Asserts that the watches finish and that the background commands still run.
    pub(super) async fn finish(mut self) {
        for watch in &mut self.watches {
            let status = watch.wait_exit(TIMEOUT).await;
            // Exit code 1: not all jobs succeeded.
            assert!(matches!(status.code(), Some(0 | 1)), "{status}: {}", watch.log());
        }
        for process in &mut self.background {
            let status = process.exit_status();
            assert!(status.is_none(), "{status:?}: {}", process.log());
        }
    }
}

/// Checks the syntax of a block that cannot run here.
pub(super) async fn parse(block: &Block) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    for name in ["sentinel", "sentinel-worker", "sentinel-gateway"] {
        script(dir.path(), name, &format!("exec {} \"$@\" --help", path_of(name)));
    }
    script(dir.path(), "cargo", &format!("shift\nexec {} \"$@\" --help", path_of("xtask")));
    let mut syntax = Command::new("sh");
    syntax.args(["-n", "-c", &block.code]);
    run(syntax).await.ok();
    for line in commands(&block.code) {
        // The binary parses the flags; `--help` prevents any action.
        if ["sentinel ", "sentinel-worker ", "sentinel-gateway ", "cargo xtask "]
            .iter()
            .any(|ours| line.starts_with(ours))
        {
            let output = run(shell(dir.path(), &line)).await;
            assert_eq!(output.code, 0, "{block}: {line}: {output:?}");
        }
    }
}

/// Checks that a block is a valid server configuration.
pub(super) async fn settings(block: &Block) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let file = dir.path().join("sentinel.toml");
    std::fs::write(&file, &block.code).expect("a file");
    let mut command = Command::new(binary("sentinel"));
    command.args(["serve", "--print-config", "--config"]).arg(&file);
    let output = run(command).await;
    assert_eq!(output.code, 0, "{block}: {output:?}");
}

/// Splits a block into commands. A backslash or an open quote continues a command on the next line.
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

/// Replaces the word `ID`.
fn with_id(line: &str, id: &str) -> String {
    let words = line.split(' ').map(|word| if word == "ID" { id } else { word });
    words.collect::<Vec<_>>().join(" ").replace("/ID", &format!("/{id}"))
}

/// Returns whether a word is the id of a job (a UUID) or of a key (16 hexadecimal digits).
fn is_id(word: &str) -> bool {
    let is_part = |part: &str| part.chars().all(|digit| digit.is_ascii_hexdigit());
    let lengths: Vec<usize> = word.split('-').map(str::len).collect();
    matches!(lengths.as_slice(), [8, 4, 4, 4, 12] | [16]) && word.split('-').all(is_part)
}

fn path_of(name: &str) -> String {
    binary(name).display().to_string()
}

/// Writes a shell script into the `bin` directory.
fn script(dir: &Path, name: &str, code: &str) {
    let bin = dir.join("bin");
    std::fs::create_dir_all(&bin).expect("a directory");
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
