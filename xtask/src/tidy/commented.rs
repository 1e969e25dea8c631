//! Bans commented-out code.

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
        for range in &source.comments {
            // Doc comments show examples; those start with a third mark.
            let text = &source.text[range.clone()];
            let Some(comment) = text.strip_prefix("// ").map(str::trim) else { continue };
            let starts = STARTS.iter().any(|start| comment.starts_with(start));
            if starts && ENDS.iter().any(|end| comment.ends_with(end)) {
                let what = "is commented-out code; remove it";
                found.push(Problem::failure(source.place(range.start), what));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests;
