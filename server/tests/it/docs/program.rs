//! Runs the programs of a page in an empty project with the packaged SDK installed.

use std::path::{Path, PathBuf};

use sentinel_client::NewJob;
use sentinel_client::proto::jobs::v1::JobState;
use serde_json::json;
use tokio::process::Command;

use super::page::Block;
use crate::handlers::endpoint::Endpoint;
use crate::harness::{
    Process, TIMEOUT, TestServer, WorkerProcess, binary, demo_job, enqueue, run, wait_terminal,
    wait_until,
};
use crate::languages::program::{built, python, root};

#[derive(Clone, Copy)]
enum Language {
    Node,
    Python,
}

/// The server, worker and HTTP endpoint that the programs use.
pub(super) struct DocsFixture {
    _worker: WorkerProcess,
    endpoint: Endpoint,
    server: TestServer,
}

impl DocsFixture {
    pub(super) async fn start() -> Self {
        let server = TestServer::start().await;
        let flags = ["--queues", "default,tasks", "--http-allow", "127.0.0.1"];
        let worker = server.start_worker("w1", &flags).await;
        Self { _worker: worker, endpoint: Endpoint::listen().await, server }
    }
}

/// Runs a block inside a web page of another origin and returns what the page showed. The script
/// starts its own servers.
pub(super) async fn run_in_browser(block: &Block) -> String {
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    std::fs::write(file.path(), &block.code).expect("a file");
    built("gateway/tests/web/node_modules/playwright-core", "browser");
    built("client-sdk/node/dist/src/proto.js", "node");
    let mut node = Command::new("node");
    node.arg(root().join("gateway/tests/web/docs/run-block.js"));
    node.arg(&block.language).arg(file.path());
    let programs = binary("sentinel-gateway");
    node.arg(programs.parent().expect("a directory"));
    let output = run(node).await;
    assert_eq!(output.code, 0, "{block}: {output:?}");
    output.stdout
}

pub(super) struct Project {
    language: Language,
    dir: tempfile::TempDir,
}

impl Project {
    /// Runs `npm pack` and installs the resulting package file.
    pub(super) async fn node() -> Self {
        built("client-sdk/node/dist/src/index.js", "node");
        let dir = tempfile::tempdir().expect("a temporary directory");
        let mut pack = npm(&root().join("client-sdk/node"), &["pack", "--json"]);
        // Packs what the step `node` has built. A script would also print to the output.
        pack.arg("--ignore-scripts");
        pack.arg("--pack-destination").arg(dir.path());
        let packed: serde_json::Value = serde_json::from_str(&run(pack).await.ok()).expect("JSON");
        let files = packed[0]["files"].to_string();
        assert!(files.contains("dist/src/worker/session-thread.js"), "{files}");
        assert!(files.contains("dist/cjs/worker/session-thread.js"), "{files}");
        assert!(!files.contains("dist/test"), "{files}");
        let package = format!("./{}", packed[0]["filename"].as_str().expect("a file"));
        std::fs::write(dir.path().join("package.json"), "{\"type\": \"module\"}").expect("a file");
        let mut install = npm(dir.path(), &["install", "--prefer-offline", "--ignore-scripts"]);
        install.args(["--no-audit", "--no-fund", &package]);
        run(install).await.ok();
        Self { language: Language::Node, dir }
    }

    /// Installs the wheel separately from the copy of the SDK's own tests.
    pub(super) async fn python() -> Self {
        let wheels = built("target/python/wheels", "python");
        let dir = tempfile::tempdir().expect("a temporary directory");
        let mut pip = python();
        pip.args(["-m", "pip", "install", "--disable-pip-version-check", "--quiet", "--no-index"]);
        pip.args(["--no-deps", "--find-links"]).arg(wheels).arg("--target").arg(dir.path());
        pip.arg("sentinel-client");
        run(pip).await.ok();
        let project = Self { language: Language::Python, dir };
        let mut command = project.command(Path::new("-c"));
        command.arg("import sentinel_client; print(sentinel_client.__file__)");
        let file = run(command).await.ok();
        assert!(file.starts_with(&project.dir.path().display().to_string()), "{file}");
        project
    }

    /// Runs a complete program and returns its output.
    pub(super) async fn run(&self, fixture: &DocsFixture, block: &Block) -> String {
        let file = self.write(&with_addresses(fixture, &block.code)).await;
        run(self.command(&file)).await.ok()
    }

    /// Runs a fragment, which prints a line for each terminal job until it is stopped.
    pub(super) async fn run_fragment(&self, fixture: &DocsFixture, block: &Block) {
        let program = match self.language {
            Language::Node => format!(
                "import {{ Client }} from \"@sentinel/client\";\n\
                 const client = new Client(\"127.0.0.1:7070\");\n{}",
                block.code
            ),
            Language::Python => format!(
                "import asyncio\nfrom sentinel_client import Client\n\
                 async def main():\n  async with Client(\"127.0.0.1:7070\") as client:\n{}\
                 asyncio.run(main())\n",
                block.code.lines().map(|line| format!("    {line}\n")).collect::<String>()
            ),
        };
        let file = self.write(&with_addresses(fixture, &program)).await;
        let mut command = self.command(&file);
        command.env("PYTHONUNBUFFERED", "1");
        let process = Process::start(command, &self.dir.path().join("fragment.log"));
        let client = fixture.server.client();
        wait_until(&format!("{block} prints a job"), TIMEOUT, || async {
            let id = enqueue(&client, demo_job("noop", json!({}))).await;
            wait_terminal(&client, &id).await;
            process.log().contains(&id).then_some(())
        })
        .await;
    }

    /// Runs a worker, which continues until it is stopped.
    pub(super) async fn run_worker(
        &self,
        fixture: &DocsFixture,
        block: &Block,
        kind: &str,
        json: &str,
    ) {
        let file = self.write(&with_addresses(fixture, &block.code)).await;
        let log = self.dir.path().join(format!("worker-{}.log", block.number));
        let _process = Process::start(self.command(&file), &log);
        let client = fixture.server.client();
        let job = NewJob::new("tasks", kind).content_type("application/json");
        let job = job.payload(json.to_owned());
        let job = wait_terminal(&client, &enqueue(&client, job).await).await;
        assert_eq!(job.state(), JobState::Succeeded, "{block}: {job:?}");
        assert_eq!(String::from_utf8_lossy(&job.result), json, "{block}");
    }

    /// Writes a program to a file. TypeScript is checked against the types of the package and
    /// compiled.
    async fn write(&self, code: &str) -> PathBuf {
        match self.language {
            Language::Python => {
                let file = self.dir.path().join("program.py");
                std::fs::write(&file, code).expect("a program");
                file
            }
            Language::Node => {
                let file = self.dir.path().join("program.mts");
                std::fs::write(&file, code).expect("a program");
                let modules = built("client-sdk/node/node_modules", "node");
                let mut tsc = Command::new("node");
                tsc.arg(modules.join("typescript/bin/tsc")).arg(&file).current_dir(self.dir.path());
                tsc.args([
                    "--target",
                    "es2022",
                    "--module",
                    "nodenext",
                    "--noImplicitAny",
                    "false",
                ]);
                tsc.args(["--strict", "--types", "node", "--typeRoots"])
                    .arg(modules.join("@types"));
                let output = run(tsc).await;
                assert_eq!(output.code, 0, "{}\n{code}", output.stdout);
                file.with_extension("mjs")
            }
        }
    }

    fn command(&self, program: &Path) -> Command {
        let mut command = match self.language {
            Language::Node => Command::new("node"),
            Language::Python => python(),
        };
        command.arg(program).current_dir(self.dir.path()).env("PYTHONPATH", self.dir.path());
        command
    }
}

/// Inserts the addresses of the fixture into a program.
fn with_addresses(fixture: &DocsFixture, code: &str) -> String {
    assert!(code.contains("127.0.0.1:7070"), "{code}");
    let code = code.replace("127.0.0.1:7070", &fixture.server.address);
    code.replace("ENDPOINT", &fixture.endpoint.address.to_string())
}

fn npm(dir: &Path, args: &[&str]) -> Command {
    let mut npm = Command::new("npm");
    npm.args(args).current_dir(dir);
    npm
}
