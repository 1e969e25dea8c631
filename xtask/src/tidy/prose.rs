//! Limits for documents: their length, and no praise.

use super::{
    Problem,
    source::{Source, Tree},
};

const DOCS_PAGES_LIMIT: usize = 30;
const LINE_LIMITS: [(&str, usize); 2] = [("ARCHITECTURE.md", 199), ("README.md", 80)];

/// Words that a reader cannot check, or that belittle a difficulty.
const BANNED: [&str; 13] = [
    "battle-tested",
    "best-in-class",
    "blazing",
    "blazingly",
    "cutting-edge",
    "effortless",
    "effortlessly",
    "elegant",
    "powerful",
    "robust",
    "seamless",
    "seamlessly",
    "simply",
];

pub(super) fn check(tree: &Tree) -> Vec<Problem> {
    let mut found = Vec::new();
    for source in tree.markdown() {
        found.extend(words(source));
    }
    for (path, limit) in LINE_LIMITS {
        let lines = tree.get(path).map_or(0, |source| source.text.lines().count());
        if lines > limit {
            found.push(Problem::failure(path, format!("{lines} lines; the limit is {limit}")));
        }
    }
    let page = |path: &&String| path.starts_with("docs/") && path.ends_with(".md");
    let pages = tree.paths.iter().filter(page).filter(|path| !path.starts_with("docs/decisions/"));
    let pages = pages.count();
    if pages > DOCS_PAGES_LIMIT {
        let what = format!("{pages} pages; the limit is {DOCS_PAGES_LIMIT}, so merge two");
        found.push(Problem::failure("docs", what));
    }
    found
}

fn words(source: &Source) -> Vec<Problem> {
    let mut found = Vec::new();
    for (number, line) in source.text.lines().enumerate() {
        let line = line.to_lowercase();
        let mut words = line.split(|c: char| !c.is_alphanumeric() && c != '-');
        if let Some(word) = words.find(|word| BANNED.contains(word)) {
            let place = format!("{}:{}", source.path, number + 1);
            found.push(Problem::failure(place, format!("says \"{word}\"; say what it does")));
        }
    }
    found
}

#[cfg(test)]
mod tests;
