//! Imports of Rust: paths that start with `crate`, `super`, `self` or a child module, resolved
//! through re-exports to the file that defines the name.

use std::collections::BTreeMap;

use super::Graph;
use crate::tidy::source::{Source, Tree};

/// A module of a crate: its path from the root of the crate, such as `["watch", "cursor"]`.
type Path = Vec<String>;

/// A file with what it declares.
struct Module<'a> {
    source: &'a Source,
    /// Every path that the file names, from the root of the crate.
    paths: Vec<Path>,
    /// Names that `use` brings in, with the path of each. A glob is under `*`.
    uses: Vec<(String, Path)>,
}

type Modules<'a> = BTreeMap<Path, Module<'a>>;

pub(super) fn imports(tree: &Tree) -> Graph {
    let mut crates: BTreeMap<String, Modules<'_>> = BTreeMap::new();
    for source in tree.rust().filter(|source| !source.is_test()) {
        let Some((name, file)) = source.path.split_once("/src/") else { continue };
        // A binary beside the library, such as `src/bin/x.rs`, is a crate of its own.
        if file.starts_with("bin/") {
            continue;
        }
        let path = path_of(file);
        crates.entry(name.to_owned()).or_default().insert(path.clone(), module(source, &path));
    }
    let mut graph = Graph::new();
    for modules in crates.values() {
        for (path, module) in modules {
            let targets = module.paths.iter().filter_map(|target| resolve(modules, target, 0));
            let others = targets.filter(|target| !is_family(path, target));
            let files = others.filter_map(|target| modules.get(&target));
            let files = files.map(|target| target.source.path.clone()).collect();
            graph.insert(module.source.path.clone(), files);
        }
    }
    graph
}

/// One is an ancestor of the other, or they are the same.
fn is_family(a: &Path, b: &Path) -> bool {
    a.starts_with(b) || b.starts_with(a)
}

/// The module of a file below `src`.
fn path_of(file: &str) -> Path {
    let stem = file.trim_end_matches(".rs").trim_end_matches("/mod");
    if stem == "lib" || stem == "main" { Vec::new() } else { words(stem, "/") }
}

fn words(text: &str, separator: &str) -> Path {
    text.split(separator).map(|word| word.trim().to_owned()).collect()
}

fn module<'a>(source: &'a Source, path: &Path) -> Module<'a> {
    // What follows is compiled for tests only.
    let code = source.code.split("#[cfg(test)]").next().unwrap_or_default();
    let children = code.lines().filter_map(|line| {
        let line = line.trim().trim_start_matches("pub ").trim_start_matches("pub(crate) ");
        line.trim_start_matches("pub(super) ").strip_prefix("mod ")?.strip_suffix(';')
    });
    let children: Vec<String> = children.map(str::to_owned).collect();
    let mut uses = Vec::new();
    let mut rest = String::new();
    let mut left = code;
    while let Some(at) = find_use(left) {
        rest.push_str(&left[..at]);
        let Some(end) = left[at..].find(';') else { break };
        for (name, words) in expand(&left[at + 4..at + end]) {
            if let Some(target) = absolute(path, &children, &words) {
                uses.push((name, target));
            }
        }
        left = &left[at + end + 1..];
    }
    rest.push_str(left);
    let mut paths: Vec<Path> = uses.iter().map(|(_, path)| path.clone()).collect();
    paths.extend(inline(&rest).iter().filter_map(|words| absolute(path, &children, words)));
    Module { source, paths, uses }
}

/// Where the next `use ` starts as a word.
fn find_use(code: &str) -> Option<usize> {
    let starts = |at: &usize| *at == 0 || code.as_bytes()[at - 1].is_ascii_whitespace();
    code.match_indices("use ").map(|(at, _)| at).find(starts)
}

/// `a::{b, c::{D as E}}` as (`b`, `a::b`) and (`E`, `a::c::D`).
fn expand(tree: &str) -> Vec<(String, Path)> {
    let tree = tree.trim();
    if let Some((head, rest)) = tree.split_once('{') {
        let inner = rest.rsplit_once('}').map_or(rest, |(inner, _)| inner);
        let head: Path = words(head.trim().trim_end_matches("::"), "::");
        let head: Path = head.into_iter().filter(|word| !word.is_empty()).collect();
        let parts = split(inner).into_iter().flat_map(expand);
        return parts
            .map(|(name, tail)| {
                let tail = tail.into_iter().filter(|word| word != "self");
                let path: Path = head.iter().cloned().chain(tail).collect();
                let name = if name == "self" { head.last().cloned().unwrap_or(name) } else { name };
                (name, path)
            })
            .collect();
    }
    let (path, alias) =
        tree.split_once(" as ").map_or((tree, None), |(path, as_)| (path, Some(as_)));
    let path = words(path, "::");
    let name = alias.map(|alias| alias.trim().to_owned()).or_else(|| path.last().cloned());
    name.filter(|name| !name.is_empty()).map(|name| (name, path)).into_iter().collect()
}

/// Splits at the commas outside of braces.
fn split(list: &str) -> Vec<&str> {
    let (mut parts, mut depth, mut start) = (Vec::new(), 0, 0);
    for (at, c) in list.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(&list[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&list[start..]);
    parts
}

/// Paths in code, such as `crate::watch::Cursor` or `child::run`.
fn inline(code: &str) -> Vec<Path> {
    let is_path = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
    let words_of = |text: &str| words(text.trim_end_matches("::"), "::");
    code.split(|c| !is_path(c)).filter(|text| text.contains("::")).map(words_of).collect()
}

/// The path from the root of the crate; none for a path into another crate.
fn absolute(module: &Path, children: &[String], path: &[String]) -> Option<Path> {
    let (first, rest) = path.split_first()?;
    let mut base = match first.as_str() {
        "crate" => Vec::new(),
        "self" => module.clone(),
        "super" => module[..module.len().checked_sub(1)?].to_vec(),
        name if children.iter().any(|child| child == name) => {
            let mut child = module.clone();
            child.push(first.clone());
            child
        }
        _ => return None,
    };
    for word in rest {
        if word == "super" {
            base.pop()?;
        } else {
            base.push(word.clone());
        }
    }
    Some(base)
}

/// The module that defines a name, through re-exports.
fn resolve(modules: &Modules<'_>, path: &Path, depth: usize) -> Option<Path> {
    const DEPTH_MAX: usize = 8;
    let known = (0..=path.len()).rev().find(|length| modules.contains_key(&path[..*length]))?;
    let (module, rest) = path.split_at(known);
    let module = module.to_vec();
    let Some(name) = rest.first().filter(|_| depth < DEPTH_MAX) else { return Some(module) };
    let found = &modules[&module];
    let reexport = found.uses.iter().find(|(used, _)| used == name);
    match reexport {
        Some((_, target)) if *target != *path => {
            let mut target = target.clone();
            target.extend(rest[1..].iter().cloned());
            resolve(modules, &target, depth + 1).or(Some(module))
        }
        _ => Some(module),
    }
}
