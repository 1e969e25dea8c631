//! The SDK depends on no database and no server framework, directly or not. `cargo tree` with all
//! features of the crate alone is the evidence.

use anyhow::Result;

use super::Problem;
use crate::shell;

/// Crates with few dependencies.
const LIGHT: &[&str] = &["sentinel-client", "sentinel-proto"];

/// Crates that they must not depend on, and why.
const HEAVY: &[(&str, &str)] = &[
    ("axum", "a client serves nothing"),
    ("diesel", "the ledger is the server's"),
    ("diesel-async", "the ledger is the server's"),
    (
        "libsqlite3-sys",
        "a second SQLite beside the caller's corrupts files, and needs a C compiler",
    ),
    ("redis", "the store is the server's"),
    ("bb8", "the store is the server's"),
    ("clap", "a library has no command line"),
];

pub(super) fn check() -> Vec<Problem> {
    let mut found = Vec::new();
    for package in LIGHT {
        match tree(package) {
            Ok(tree) => found.extend(heavy(package, &tree)),
            Err(error) => found.push(Problem::failure(*package, format!("{error:#}"))),
        }
    }
    found
}

fn tree(package: &str) -> Result<String> {
    let form = ["tree", "--locked", "--edges=normal", "--prefix=none", "--all-features"];
    let mut command = shell::cargo(&form);
    command.args(["--package", package]);
    shell::output(&mut command)
}

fn heavy(package: &str, tree: &str) -> Vec<Problem> {
    let names = |line: &str| line.split_whitespace().next().unwrap_or_default().to_owned();
    let has = |name: &str| tree.lines().any(|line| names(line) == name);
    let brought = HEAVY.iter().filter(|(name, _)| has(name));
    let problem =
        |(name, why): &(&str, &str)| Problem::failure(package, format!("brings {name}, but {why}"));
    brought.map(problem).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_heavy_crate_anywhere_in_the_tree_is_named() {
        let tree = "sentinel-client v0.1.0 (/x)\ntonic v0.14.9\naxum v0.8.9\naxum-core v0.5.0\n";
        let found = heavy("sentinel-client", tree);
        assert_eq!(found.len(), 1);
        assert!(found[0].to_string().contains("brings axum"), "{}", found[0]);
        assert!(heavy("sentinel-client", "tonic v0.14.9\naxum-core v0.5.0 (*)\n").is_empty());
    }
}
