//! Code behind two slashes, and prose that looks a little like it.

use super::*;

#[test]
fn sees_code_and_leaves_prose() {
    let text = "\
//! A.
/// let shown = example();
fn f() {
    // let old = g();
    // use the second one; the first may be stale
    // return early, since the writer is gone.
    // if let Some(a) = b {
    g(); // let it be
}
";
    let found = check(&Tree::of(&[("a/src/b.rs", text)]));
    let places: Vec<String> = found.into_iter().map(|problem| problem.place).collect();
    assert_eq!(places, ["a/src/b.rs:4", "a/src/b.rs:7"]);
}
