//! Every scenario, played to every runtime that this repository has.

macro_rules! tests {
    ($($name:ident),* $(,)?) => {
        $(#[test]
        fn $name() {
            crate::play(stringify!($name), &runtime());
        })*
    };
}

mod rust {
    //! The runtime of `client-sdk`.

    fn runtime() -> sentinel_conformance::Runtime {
        let none: [&str; 0] = [];
        sentinel_conformance::Runtime::new(env!("CARGO_BIN_EXE_sentinel-conformance-worker"), none)
    }

    sentinel_conformance::for_each_scenario!(tests);
}

mod node {
    //! The runtime of `client-sdk/node`.

    fn runtime() -> sentinel_conformance::Runtime {
        let worker = crate::built("client-sdk/node/dist/test/conformance-worker.js", "node");
        sentinel_conformance::Runtime::new("node", [worker])
    }

    sentinel_conformance::for_each_scenario!(tests);
}

mod python {
    //! The runtime of `client-sdk/python`.

    fn runtime() -> sentinel_conformance::Runtime {
        let python = crate::built("target/python/venv/bin/python", "python");
        let worker = crate::root().join("client-sdk/python/tests/conformance_worker.py");
        sentinel_conformance::Runtime::new(python, [worker])
    }

    sentinel_conformance::for_each_scenario!(tests);
}

use std::path::{Path, PathBuf};

use sentinel_conformance::{Runtime, SCENARIOS};

/// The workspace.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// What a step of `cargo xtask test` builds.
fn built(path: &str, step: &str) -> PathBuf {
    let path = root().join(path);
    let missing = format!("{} is missing: run cargo xtask test --only {step}", path.display());
    assert!(path.exists(), "{missing}");
    path
}

fn play(name: &str, runtime: &Runtime) {
    let scenario = SCENARIOS.iter().find(|scenario| scenario.name == name);
    let scenario = scenario.expect("a name out of the table");
    let tokio = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    tokio.expect("a runtime").block_on(scenario.play(runtime));
}
