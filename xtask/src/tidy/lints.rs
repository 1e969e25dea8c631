//! Every crate takes its lints and its metadata from the workspace, so that a rule is
//! written once and no crate is exempt by accident.

use serde_json::Value;

use super::{
    Problem,
    arrows::{members, text},
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
