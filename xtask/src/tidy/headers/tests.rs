//! Files with and without a purpose.

use super::*;

#[test]
fn sees_a_file_without_a_purpose() {
    let tree = Tree::of(&[
        ("a/src/lib.rs", "//! Why.\n"),
        ("a/src/bare.rs", "use b;\n"),
        ("a/src/empty.rs", ""),
        ("a/src/bare/tests.rs", "use super::*;\n"),
        ("a/build.rs", "fn main() {}\n"),
        ("proto/src/gen/a.rs", "// generated\n"),
    ]);
    let places: Vec<String> = check(&tree).into_iter().map(|problem| problem.place).collect();
    assert_eq!(places, ["a/src/bare.rs", "a/src/empty.rs"]);
}
