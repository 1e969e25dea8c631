//! A bare `tokio::spawn` starts a task without a name, a span or an owner that sees its panic. Each
//! crate has one place that spawns; it is listed here.

use super::{
    Problem,
    source::{Tree, find_all},
};

/// Files that may spawn, each with its reason.
const ALLOWED: &[(&str, &str)] = &[
    ("client-sdk/conformance/src/main.rs", "one scenario at a time, joined at once"),
    (
        "client-sdk/conformance/src/scripted_server.rs",
        "the listener of a scripted server; aborted with it",
    ),
    (
        "client-sdk/conformance/src/worker_program.rs",
        "reads the frames of a worker; ends with the worker",
    ),
    ("client-sdk/src/client/ingest.rs", "the stream of a producer; aborted with its handle"),
    (
        "client-sdk/src/worker/executor.rs",
        "one task per attempt; reports its end when it is dropped",
    ),
    ("client-sdk/src/worker/session.rs", "closes an abandoned stream, within a time limit"),
    ("client-sdk/testing/src/server.rs", "the worker of a test; ends with its handle"),
    ("server/store-redis/src/store.rs", "the subscriber; it ends with the store"),
    ("server/src/assembly.rs", "the listener; joined by stop"),
    ("server/src/cli/dev.rs", "the worker of `sentinel dev`; joined by stop"),
    (
        "server/src/identity/layer.rs",
        "an audited call, which completes even if its caller disconnects",
    ),
];

const CALLS: [&str; 3] = ["tokio::spawn(", "task::spawn(", "spawn_local("];

pub(super) fn check(tree: &Tree) -> Vec<Problem> {
    check_with(tree, ALLOWED)
}

fn check_with(tree: &Tree, allowed: &[(&str, &str)]) -> Vec<Problem> {
    let mut found = Vec::new();
    let mut used = Vec::new();
    for source in tree.rust().filter(|source| !source.is_test()) {
        for at in CALLS.iter().flat_map(|call| find_all(&source.code, call)) {
            if allowed.iter().any(|(path, _)| *path == source.path) {
                used.push(source.path.as_str());
            } else {
                let what = "spawns a bare task; use the crate's spawn function, or list the file \
                            with a reason in xtask/src/tidy/spawns.rs";
                found.push(Problem::failure(source.place(at), what));
            }
        }
    }
    for (path, _) in allowed.iter().filter(|(path, _)| !used.contains(path)) {
        let what = "is listed in xtask/src/tidy/spawns.rs and spawns nothing";
        found.push(Problem::failure(*path, what));
    }
    found
}

#[cfg(test)]
mod tests;
