//! Planted words.

use super::*;

#[test]
fn finds_a_word_in_identifiers_comments_and_texts() {
    let tree = Tree::of(&[
        ("a/src/lib.rs", "struct WorkerRoster;\nfn roll_dice() {}\n// The Broker.\n"),
        ("docs/a.md", "What became of it.\n"),
    ]);
    let found: Vec<String> = check(&tree).iter().map(|problem| problem.place.clone()).collect();
    assert_eq!(found, ["a/src/lib.rs:1", "a/src/lib.rs:2", "a/src/lib.rs:3", "docs/a.md:1"]);
}

#[test]
fn leaves_other_words_alone() {
    let tree = Tree::of(&[("a/src/lib.rs", "// fateful, brokerage, became it of what\n")]);
    assert_eq!(check(&tree), []);
}
