//! Bans disabled tests. Only soak tests, which `cargo xtask soak` finds by name, are `#[ignore]`d.

use super::{Problem, source::Tree};

pub(super) fn check(tree: &Tree) -> Vec<Problem> {
    let mut found = Vec::new();
    for source in tree.rust() {
        for (at, _) in source.code.match_indices("#[ignore") {
            let after = &source.code[at..];
            let name = after.split_once("fn ").map_or("", |(_, rest)| rest);
            let name = name.split(['(', '<']).next().unwrap_or_default();
            if !name.contains("soak") {
                let what = format!("fn {name} is ignored; only a test named ..soak.. may be");
                found.push(Problem::failure(source.place(at), what));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests;
