//! Runs every scenario against every worker runtime and every client of this repository.

macro_rules! tests {
    ($($name:ident),* $(,)?) => {
        $(#[test]
        fn $name() {
            crate::run(stringify!($name), &program());
        })*
    };
}

macro_rules! client_tests {
    ($($name:ident),* $(,)?) => {
        $(#[test]
        fn $name() {
            crate::run_client(stringify!($name), &client());
        })*
    };
}

mod rust {
    //! The runtime and the client in `client-sdk`.

    fn client() -> sentinel_conformance::ClientProgram {
        let no_args: [&str; 0] = [];
        let program = env!("CARGO_BIN_EXE_sentinel-conformance-client");
        sentinel_conformance::ClientProgram::new(program, no_args)
    }

    fn program() -> sentinel_conformance::WorkerProgram {
        let no_args: [&str; 0] = [];
        sentinel_conformance::WorkerProgram::new(
            env!("CARGO_BIN_EXE_sentinel-conformance-worker"),
            no_args,
        )
    }

    sentinel_conformance::for_each_scenario!(tests);
    sentinel_conformance::for_each_client_scenario!(client_tests);
}

mod node {
    //! The runtime and the client in `client-sdk/node`.

    fn client() -> sentinel_conformance::ClientProgram {
        let client = crate::built("client-sdk/node/dist/test/conformance-client.js", "node");
        sentinel_conformance::ClientProgram::new("node", [client])
    }

    fn program() -> sentinel_conformance::WorkerProgram {
        let worker = crate::built("client-sdk/node/dist/test/conformance-worker.js", "node");
        sentinel_conformance::WorkerProgram::new("node", [worker])
    }

    sentinel_conformance::for_each_scenario!(tests);
    sentinel_conformance::for_each_client_scenario!(client_tests);
}

mod python {
    //! The runtime and the client in `client-sdk/python`.

    fn client() -> sentinel_conformance::ClientProgram {
        let python = crate::built("target/python/venv/bin/python", "python");
        let client = crate::root().join("client-sdk/python/tests/conformance_client.py");
        sentinel_conformance::ClientProgram::new(python, [client])
    }

    fn program() -> sentinel_conformance::WorkerProgram {
        let python = crate::built("target/python/venv/bin/python", "python");
        let worker = crate::root().join("client-sdk/python/tests/conformance_worker.py");
        sentinel_conformance::WorkerProgram::new(python, [worker])
    }

    sentinel_conformance::for_each_scenario!(tests);
    sentinel_conformance::for_each_client_scenario!(client_tests);
}

use std::path::{Path, PathBuf};

use sentinel_conformance::{CLIENT_SCENARIOS, ClientProgram, SCENARIOS, WorkerProgram};

/// The root of the workspace.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The path of a file that a step of `cargo xtask test` builds.
fn built(path: &str, step: &str) -> PathBuf {
    let path = root().join(path);
    let missing = format!("{} is missing: run cargo xtask test --only {step}", path.display());
    assert!(path.exists(), "{missing}");
    path
}

fn run(name: &str, program: &WorkerProgram) {
    let scenario = SCENARIOS.iter().find(|scenario| scenario.name == name);
    let scenario = scenario.expect("an existing scenario");
    block_on(scenario.run(program));
}

fn run_client(name: &str, program: &ClientProgram) {
    let scenario = CLIENT_SCENARIOS.iter().find(|scenario| scenario.name == name);
    let scenario = scenario.expect("an existing scenario");
    block_on(scenario.run(program));
}

fn block_on(scenario: impl Future<Output = ()>) {
    let tokio = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    tokio.expect("a tokio runtime").block_on(scenario);
}
