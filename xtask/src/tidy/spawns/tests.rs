//! Bare tasks, listed and not.

use super::*;

const SPAWNS: &str = "//! A.\nfn f() { tokio::spawn(async {}); }\n// tokio::spawn(\n";

#[test]
fn sees_a_bare_task_and_its_line() {
    let tree = Tree::of(&[("a/src/b.rs", SPAWNS), ("a/src/b/tests.rs", SPAWNS)]);
    let found = check_with(&tree, &[]);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].place, "a/src/b.rs:2");
}

#[test]
fn a_listed_file_may_spawn() {
    let tree = Tree::of(&[("a/src/spawn.rs", SPAWNS)]);
    assert_eq!(check_with(&tree, &[("a/src/spawn.rs", "names and joins")]), []);
}

#[test]
fn a_row_that_is_no_longer_needed_is_seen() {
    let found = check_with(&Tree::of(&[("a/src/b.rs", "//! A.\n")]), &[("a/src/b.rs", "old")]);
    assert!(found[0].what.contains("spawns nothing"));
}
