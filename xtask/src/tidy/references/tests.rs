//! Planted references.

use super::*;

#[test]
fn finds_missing_files_and_names() {
    let page =
        "See `a/src/b.rs::run` and `a/src/b.rs::Job`.\n`a/src/c.rs::run`\n`a/src/b.rs::ru`\n";
    let tree = Tree::of(&[
        ("A.md", page),
        ("a/src/b.rs", "pub async fn run() {}\nstruct Job;\n// fn ru()\n"),
    ]);
    let found: Vec<String> = check(&tree).iter().map(|problem| problem.place.clone()).collect();
    assert_eq!(found, ["A.md:2", "A.md:3"]);
}
