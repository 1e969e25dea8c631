//! Every crate inherits lints and metadata from the workspace.

use serde_json::Value;

use super::{
    Problem,
    dependencies::{members, text},
    source::Tree,
};

const INHERITED: [&str; 4] = ["version", "edition", "rust-version", "license"];

pub(super) fn check(tree: &Tree, packages: &Value) -> Vec<Problem> {
    let root = text(&packages["workspace_root"]);
    let mut found = Vec::new();
    for package in members(packages) {
        let path = text(&package["manifest_path"]);
        let path = path.strip_prefix(root).unwrap_or(path).trim_start_matches('/');
        if let Some(source) = tree.get(path) {
            found.extend(manifest(path, &source.text));
        }
    }
    found.extend(oldest_rust(tree));
    found
}

/// Pages that state the oldest supported Rust.
const PROMISES: [(&str, &str, &str); 2] =
    [("README.md", "Needs Rust ", " "), ("client-sdk/README.md", "Needs Rust ", " ")];

/// Compares `rust-version` of the workspace with the pages that state it.
fn oldest_rust(tree: &Tree) -> Vec<Problem> {
    let Some(manifest) = tree.get("Cargo.toml") else { return Vec::new() };
    let version = manifest.text.lines().find_map(|line| line.strip_prefix("rust-version = \""));
    let Some(version) = version.and_then(|line| line.split('"').next()) else {
        return vec![Problem::failure("Cargo.toml", "lacks `rust-version`")];
    };
    let mut found = Vec::new();
    for (path, before, after) in PROMISES {
        let promise = format!("{before}{version}{after}");
        if !tree.get(path).is_some_and(|source| source.text.contains(&promise)) {
            found.push(Problem::failure(path, format!("lacks `{promise}`, as in Cargo.toml")));
        }
    }
    found
}

fn manifest(path: &str, content: &str) -> Vec<Problem> {
    let table: toml::Table = match content.parse() {
        Ok(table) => table,
        Err(error) => return vec![Problem::failure(path, error.to_string())],
    };
    let inherits = |table: Option<&toml::Value>, key: &str| {
        table.and_then(|table| table.get(key)?.get("workspace")?.as_bool()) == Some(true)
    };
    let mut found = Vec::new();
    let lints = table.get("lints").and_then(|lints| lints.get("workspace")?.as_bool());
    if lints != Some(true) {
        found.push(Problem::failure(path, "lacks `[lints] workspace = true`"));
    }
    for key in INHERITED {
        if !inherits(table.get("package"), key) {
            found.push(Problem::failure(path, format!("lacks `{key}.workspace = true`")));
        }
    }
    found
}

#[cfg(test)]
mod tests;
