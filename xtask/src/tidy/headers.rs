//! Every Rust file starts with a comment on its purpose.

use super::{Problem, source::Tree};

/// Lines that must stand before an inner doc comment.
const MAY_PRECEDE: [&str; 1] = ["#!/"];

pub(super) fn check(tree: &Tree) -> Vec<Problem> {
    let needs_one = |name: &str| name != "build.rs" && name != "tests.rs";
    tree.rust()
        .filter(|source| needs_one(source.name()))
        .filter(|source| {
            let mut lines = source.text.lines();
            let first = lines.find(|line| !MAY_PRECEDE.iter().any(|start| line.starts_with(start)));
            !first.is_some_and(|line| line.starts_with("//! "))
        })
        .map(|source| Problem::failure(&source.path, "does not begin with `//!` and its purpose"))
        .collect()
}

#[cfg(test)]
mod tests;
