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

use sentinel_conformance::{Runtime, SCENARIOS};

fn play(name: &str, runtime: &Runtime) {
    let scenario = SCENARIOS.iter().find(|scenario| scenario.name == name);
    let scenario = scenario.expect("a name out of the table");
    let tokio = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    tokio.expect("a runtime").block_on(scenario.play(runtime));
}
