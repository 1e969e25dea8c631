//! A test that sleeps is slow or flaky. Tests wait for a condition, with a time limit, through the
//! polling function of their crate.

use super::{
    Problem,
    source::{Source, Tree, find_all},
};

/// Files with a bounded polling function, each with its reason.
const ALLOWED: &[(&str, &str)] = &[
    ("client-sdk/tests/it/run.rs", "the length of a run on its own thread, not a wait for a state"),
    (
        "gateway/tests/it/connections.rs",
        "the time that a connection is idle, not a wait for a state",
    ),
    ("gateway/tests/it/load.rs", "the delay of a network that delivers in bursts"),
    ("server/engine/tests/it/harness.rs", "polls a condition, bounded, and checks that none comes"),
    ("server/engine/tests/it/summary.rs", "moves a paused clock to a time; nothing is waited for"),
    ("server/tests/it/harness/wait.rs", "the polling function of the tests of the binaries"),
];

pub(super) fn check(tree: &Tree) -> Vec<Problem> {
    check_with(tree, ALLOWED)
}

fn check_with(tree: &Tree, allowed: &[(&str, &str)]) -> Vec<Problem> {
    let mut found = Vec::new();
    let mut used = Vec::new();
    for source in tree.rust() {
        for at in sleeps(source) {
            if allowed.iter().any(|(path, _)| *path == source.path) {
                used.push(source.path.as_str());
            } else {
                let what = "a test sleeps; wait for the condition, or list the file of a bounded \
                            polling function in xtask/src/tidy/sleeps.rs";
                found.push(Problem::failure(source.place(at), what));
            }
        }
    }
    for (path, _) in allowed.iter().filter(|(path, _)| !used.contains(path)) {
        let what = "is listed in xtask/src/tidy/sleeps.rs and does not sleep";
        found.push(Problem::failure(*path, what));
    }
    found
}

/// Sleeps in a test file, or behind the `#[cfg(test)] mod` of another one.
fn sleeps(source: &Source) -> Vec<usize> {
    let from =
        if source.is_test() { Some(0) } else { source.code.find("#[cfg(test)]\nmod tests {") };
    let Some(from) = from else { return Vec::new() };
    let mut found: Vec<usize> = ["sleep(", "sleep_until("]
        .iter()
        .flat_map(|call| find_all(&source.code, call))
        .filter(|at| *at >= from && !source.code[..*at].ends_with("fn "))
        .collect();
    found.sort_unstable();
    found
}

#[cfg(test)]
mod tests;
