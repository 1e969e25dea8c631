//! Planted dependencies.

use serde_json::json;

use super::*;

/// A package and its `(dependency, kind)` pairs.
type Member<'a> = (&'a str, &'a [(&'a str, Option<&'a str>)]);

fn workspace(members: &[Member<'_>]) -> Value {
    let packages: Vec<Value> = members
        .iter()
        .map(|(name, dependencies)| {
            let dependencies: Vec<Value> = dependencies
                .iter()
                .map(|(name, kind)| json!({ "name": name, "kind": kind }))
                .collect();
            json!({ "id": name, "name": name, "dependencies": dependencies })
        })
        .collect();
    let ids: Vec<&str> = members.iter().map(|(name, _)| *name).collect();
    json!({ "packages": packages, "workspace_members": ids })
}

fn whats(packages: &Value) -> Vec<String> {
    check(packages).iter().map(ToString::to_string).collect()
}

#[test]
fn allowed_dependencies_pass() {
    let packages = workspace(&[
        ("sentinel-domain", &[("bytes", None)]),
        ("sentinel-store", &[("sentinel-domain", None), ("prost", None)]),
    ]);
    assert_eq!(whats(&packages), Vec::<String>::new());
}

#[test]
fn finds_a_dependency_in_the_wrong_direction() {
    let packages =
        workspace(&[("sentinel-domain", &[("sentinel-store", None)]), ("sentinel-store", &[])]);
    let found = whats(&packages);
    assert_eq!(found.len(), 1);
    assert!(found[0].contains("sentinel-domain: imports sentinel-store"), "{found:?}");
}

#[test]
fn tests_may_import_more_than_code() {
    let edge = |kind| {
        workspace(&[("sentinel-client", &[("sentinel-server", kind)]), ("sentinel-server", &[])])
    };
    assert_eq!(whats(&edge(Some("dev"))), Vec::<String>::new());
    assert_eq!(whats(&edge(None)).len(), 1);
    assert_eq!(whats(&edge(Some("build"))).len(), 1);
}

#[test]
fn finds_a_library_outside_of_its_crates() {
    let packages = workspace(&[("sentinel-domain", &[("tonic", None), ("diesel", Some("dev"))])]);
    let found = whats(&packages);
    assert_eq!(found.len(), 1);
    assert!(found[0].contains("depends on tonic"), "{found:?}");
}

#[test]
fn a_new_crate_needs_a_row() {
    assert!(whats(&workspace(&[("sentinel-new", &[])]))[0].contains("has no row"));
}

#[test]
fn the_rows_themselves_have_no_cycle() {
    let mut left: Vec<&Crate> = CRATES.iter().collect();
    while !left.is_empty() {
        let before = left.len();
        let names: Vec<&str> = left.iter().map(|row| row.name).collect();
        left.retain(|row| row.imports.iter().any(|import| names.contains(import)));
        assert!(left.len() < before, "a cycle among {names:?}");
    }
}
