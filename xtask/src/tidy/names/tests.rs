//! Names in files and folders.

use super::*;

#[test]
fn sees_a_name_that_says_nothing() {
    let tree = Tree::of(&[
        ("a/src/utils.rs", ""),
        ("a/src/helpers/b.rs", ""),
        ("a/src/manager.rs", ""),
        ("a/src/utilisation.rs", ""),
    ]);
    let places: Vec<String> = check(&tree).into_iter().map(|problem| problem.place).collect();
    assert_eq!(places, ["a/src/utils.rs", "a/src/helpers/b.rs", "a/src/manager.rs"]);
}
