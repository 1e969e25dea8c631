//! Runs every scenario against every worker runtime of this repository.

macro_rules! tests {
    ($($name:ident),* $(,)?) => {
        $(#[test]
        fn $name() {
            crate::run(stringify!($name), &program());
        })*
    };
}

mod rust {
    //! The runtime in `client-sdk`.

    fn program() -> sentinel_conformance::WorkerProgram {
        let no_args: [&str; 0] = [];
        sentinel_conformance::WorkerProgram::new(
            env!("CARGO_BIN_EXE_sentinel-conformance-worker"),
            no_args,
        )
    }

    sentinel_conformance::for_each_scenario!(tests);
}

mod node {
    //! The runtime in `client-sdk/node`.

    fn program() -> sentinel_conformance::WorkerProgram {
        let worker = crate::built("client-sdk/node/dist/test/conformance-worker.js", "node");
        sentinel_conformance::WorkerProgram::new("node", [worker])
    }

    sentinel_conformance::for_each_scenario!(tests);
}

mod python {
    //! The runtime in `client-sdk/python`.

    fn program() -> sentinel_conformance::WorkerProgram {
        let python = crate::built("target/python/venv/bin/python", "python");
        let worker = crate::root().join("client-sdk/python/tests/conformance_worker.py");
        sentinel_conformance::WorkerProgram::new(python, [worker])
    }

    sentinel_conformance::for_each_scenario!(tests);
}

use std::path::{Path, PathBuf};

use sentinel_conformance::{SCENARIOS, WorkerProgram};

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
    let tokio = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    tokio.expect("a tokio runtime").block_on(scenario.run(program));
}
