//! Imports of TypeScript: `from "./file.js"`, relative to the importing file.

use super::Graph;
use crate::tidy::source::Tree;

pub(super) fn imports(tree: &Tree) -> Graph {
    let is_source = |path: &str| path.contains("/src/") && !path.contains("/gen/");
    let sources = tree.sources.iter().filter(|source| {
        (source.path.ends_with(".ts") || source.path.ends_with(".tsx")) && is_source(&source.path)
    });
    let mut graph = Graph::new();
    for source in sources {
        let targets = source.text.split(" from \"").skip(1).filter_map(|rest| {
            let target = rest.split('"').next()?.strip_suffix(".js").or(rest.split('"').next())?;
            target.starts_with('.').then(|| join(&source.path, target))
        });
        let exists = |stem: String| {
            let names =
                [".ts", ".tsx", "/index.ts", "/index.tsx"].map(|end| format!("{stem}{end}"));
            let plain = stem.trim_end_matches(".ts").trim_end_matches(".tsx").to_owned();
            let names = names.into_iter().chain([format!("{plain}.ts"), format!("{plain}.tsx")]);
            names.into_iter().find(|name| tree.paths.contains(name))
        };
        graph.insert(source.path.clone(), targets.filter_map(exists).collect());
    }
    graph
}

/// `target` as seen from the folder of `from`.
fn join(from: &str, target: &str) -> String {
    let mut parts: Vec<&str> = from.split('/').collect();
    parts.pop();
    for part in target.split('/') {
        match part {
            "." => {}
            ".." => drop(parts.pop()),
            name => parts.push(name),
        }
    }
    parts.join("/")
}
