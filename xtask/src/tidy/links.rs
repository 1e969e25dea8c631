//! The file and the heading of every relative link exist.

use super::{
    Problem,
    source::{Source, Tree},
};

pub(super) fn check(tree: &Tree) -> Vec<Problem> {
    let mut found = Vec::new();
    for source in tree.markdown() {
        for (line, target) in targets(&source.text) {
            if let Some(what) = broken(tree, source, target) {
                found.push(Problem::failure(format!("{}:{line}", source.path), what));
            }
        }
    }
    found
}

/// Targets of `[text](target)` outside of code, each with its line.
fn targets(text: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    for (number, line) in prose_lines(text) {
        // Every second part between backticks is code.
        for part in line.split('`').step_by(2) {
            for (at, _) in part.match_indices("](") {
                let rest = &part[at + 2..];
                let target = rest.split([')', ' ']).next().unwrap_or_default();
                found.push((number, target));
            }
        }
    }
    found
}

fn broken(tree: &Tree, source: &Source, target: &str) -> Option<String> {
    if target.is_empty() || target.contains("://") || target.starts_with("mailto:") {
        return None;
    }
    let (path, anchor) = target.split_once('#').unwrap_or((target, ""));
    let path = if path.is_empty() { source.path.clone() } else { join(&source.path, path) };
    let folder = format!("{}/", path.trim_end_matches('/'));
    let exists =
        path.is_empty() || tree.paths.iter().any(|have| *have == path || have.starts_with(&folder));
    if !exists {
        return Some(format!("links to {target}, which does not exist"));
    }
    let page = tree.get(&path).filter(|page| page.is_markdown() && !anchor.is_empty())?;
    let known = headings(&page.text).iter().any(|heading| heading == anchor);
    (!known).then(|| format!("links to {target}, but {path} has no such heading"))
}

/// `link` as seen from the file at `from`; empty for the root.
fn join(from: &str, link: &str) -> String {
    let mut parts: Vec<&str> = from.split('/').collect();
    parts.pop();
    if link.starts_with('/') {
        parts.clear();
    }
    for part in link.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            name => parts.push(name),
        }
    }
    parts.join("/")
}

/// The anchors that headings get: lower case, blanks to dashes, other marks dropped.
fn headings(text: &str) -> Vec<String> {
    let titles = prose_lines(text).filter_map(|(_, line)| {
        let title = line.trim_start_matches('#');
        (title.len() < line.len() && title.starts_with(' ')).then(|| title.trim())
    });
    titles
        .map(|title| {
            let kept =
                title.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
            kept.collect::<String>().to_lowercase().replace(' ', "-")
        })
        .collect()
}

/// Lines outside of fenced code, with their numbers.
fn prose_lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut fenced = false;
    text.lines().enumerate().filter_map(move |(index, line)| {
        let fence = line.trim_start().starts_with("```");
        fenced ^= fence;
        (!fenced && !fence).then_some((index + 1, line))
    })
}

#[cfg(test)]
mod tests;
