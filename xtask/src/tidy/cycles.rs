//! Files that import each other in a circle can only be read together. This check finds the
//! circles between the Rust files of a crate and between the TypeScript files of a package.
//!
//! A module and its child modules may import each other: they are one unit in a folder of its own.

mod rust;
mod typescript;

use std::collections::{BTreeMap, BTreeSet};

use super::{Problem, source::Tree};

/// Which file imports which.
type Graph = BTreeMap<String, BTreeSet<String>>;

pub(super) fn check(tree: &Tree) -> Vec<Problem> {
    let mut graph = rust::imports(tree);
    graph.extend(typescript::imports(tree));
    circles(&graph).iter().map(|circle| problem(&graph, circle)).collect()
}

fn problem(graph: &Graph, circle: &BTreeSet<String>) -> Problem {
    let first = circle.first().expect("a circle has files");
    let arrows = circle.iter().flat_map(|from| {
        graph[from]
            .iter()
            .filter(|to| circle.contains(*to))
            .map(move |to| format!("{from} -> {to}"))
    });
    let arrows: Vec<String> = arrows.collect();
    let what = format!("{} files import each other: {}", circle.len(), arrows.join(", "));
    Problem::failure(first, what)
}

/// The strongly connected components with more than one file.
fn circles(graph: &Graph) -> Vec<BTreeSet<String>> {
    let reached: BTreeMap<&str, BTreeSet<&str>> =
        graph.keys().map(|from| (from.as_str(), reachable(graph, from))).collect();
    let mut found: Vec<BTreeSet<String>> = Vec::new();
    for (from, targets) in &reached {
        if found.iter().any(|circle| circle.contains(*from)) {
            continue;
        }
        let back = |to: &&&str| reached.get(**to).is_some_and(|back| back.contains(from));
        let mut circle: BTreeSet<String> =
            targets.iter().filter(back).map(|to| (*to).to_owned()).collect();
        circle.insert((*from).to_owned());
        if circle.len() > 1 {
            found.push(circle);
        }
    }
    found
}

/// Every file that `from` imports, directly or not.
fn reachable<'a>(graph: &'a Graph, from: &str) -> BTreeSet<&'a str> {
    let mut seen = BTreeSet::new();
    let mut left: Vec<&str> = vec![from];
    while let Some(file) = left.pop() {
        for to in graph.get(file).into_iter().flatten() {
            if let Some((key, _)) = graph.get_key_value(to)
                && seen.insert(key.as_str())
            {
                left.push(key);
            }
        }
    }
    seen
}

#[cfg(test)]
mod tests;
