//! Manifests that leave the fold.

use super::*;

const GOOD: &str = "[package]\nname = \"a\"\nversion.workspace = true\nedition.workspace = true\n\
                    rust-version.workspace = true\nlicense.workspace = true\n\
                    [lints]\nworkspace = true\n";

#[test]
fn a_manifest_that_inherits_passes() {
    assert_eq!(manifest("a/Cargo.toml", GOOD), []);
}

#[test]
fn sees_own_lints_and_own_metadata() {
    let own = GOOD
        .replace("[lints]\nworkspace = true", "[lints.rust]\nunused = \"allow\"")
        .replace("edition.workspace = true", "edition = \"2021\"");
    let whats: Vec<String> =
        manifest("a/Cargo.toml", &own).into_iter().map(|problem| problem.what).collect();
    assert_eq!(whats, ["lacks `[lints] workspace = true`", "lacks `edition.workspace = true`"]);
}

#[test]
fn finds_the_manifests_of_the_workspace() {
    let tree = Tree::of(&[("a/Cargo.toml", "[package]")]);
    let packages = serde_json::json!({
        "workspace_root": "/w",
        "workspace_members": ["a"],
        "packages": [{ "id": "a", "manifest_path": "/w/a/Cargo.toml" }],
    });
    assert_eq!(check(&tree, &packages).len(), 5);
}

#[test]
fn the_oldest_rust_is_the_same_everywhere() {
    let tree = Tree::of(&[
        ("Cargo.toml", "rust-version = \"1.95\"\n"),
        ("README.md", "Needs Rust 1.95 and"),
        ("client-sdk/README.md", "Needs Rust 1.94 (`rust-version`"),
    ]);
    let whats: Vec<String> = oldest_rust(&tree).into_iter().map(|problem| problem.what).collect();
    assert_eq!(whats, ["lacks `Needs Rust 1.95 `, as in Cargo.toml"]);
}
