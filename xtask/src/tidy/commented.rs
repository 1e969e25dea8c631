//! Code in a comment is neither code nor comment: the history keeps what was removed.

use super::{Problem, source::Tree};

const STARTS: [&str; 14] = [
    "let ",
    "use ",
    "pub ",
    "fn ",
    "async fn ",
    "return ",
    "if let ",
    "match ",
    "for (",
    "self.",
    "assert",
    "println!",
    "#[",
    "mod ",
];
const ENDS: [&str; 4] = [";", " {", "}", "]"];

pub(super) fn check(tree: &Tree) -> Vec<Problem> {
    let mut found = Vec::new();
    for source in tree.rust() {
        for (number, line) in source.text.lines().enumerate() {
            // Doc comments show examples; those start with a third mark.
            let Some(comment) = line.trim_start().strip_prefix("// ") else { continue };
            let comment = comment.trim();
            let starts = STARTS.iter().any(|start| comment.starts_with(start));
            if starts && ENDS.iter().any(|end| comment.ends_with(end)) {
                let place = format!("{}:{}", source.path, number + 1);
                found.push(Problem::failure(place, "is commented-out code; remove it"));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests;
