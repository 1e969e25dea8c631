//! Planted circles.

use super::*;

fn found(files: &[(&str, &str)]) -> Vec<String> {
    check(&Tree::of(files)).iter().map(ToString::to_string).collect()
}

#[test]
fn finds_a_circle_of_two_rust_files() {
    let files = [
        ("c/src/lib.rs", "mod a;\nmod b;\n"),
        ("c/src/a.rs", "use crate::b::{self, B};\nstruct A;\n"),
        ("c/src/b.rs", "fn f() -> crate::a::A { todo() }\n"),
    ];
    let found = found(&files);
    assert_eq!(found.len(), 1);
    assert!(found[0].contains("c/src/a.rs -> c/src/b.rs, c/src/b.rs -> c/src/a.rs"), "{found:?}");
}

#[test]
fn follows_reexports_to_the_file_that_defines_the_name() {
    let circle = [
        ("c/src/lib.rs", "mod a;\nmod b;\npub use a::A;\npub use b::B as Other;\n"),
        ("c/src/a.rs", "use crate::Other;\n"),
        ("c/src/b.rs", "use crate::{A, Unknown};\n"),
    ];
    assert_eq!(found(&circle).len(), 1);
    let line = [
        ("c/src/lib.rs", "mod a;\nmod b;\npub use a::A;\npub use b::B;\n"),
        ("c/src/a.rs", "use crate::B;\n"),
        ("c/src/b.rs", "// use crate::A;\nconst S: &str = \"crate::a::A\";\n"),
    ];
    assert_eq!(found(&line), [""; 0]);
}

#[test]
fn a_module_and_its_children_are_one_unit() {
    let files = [
        ("c/src/lib.rs", "mod a;\n"),
        ("c/src/a.rs", "mod part;\nuse part::Part;\nstruct A;\n"),
        ("c/src/a/part.rs", "use super::A;\nstruct Part;\n"),
    ];
    assert_eq!(found(&files), [""; 0]);
}

#[test]
fn code_for_tests_may_import_anything() {
    let files = [
        ("c/src/lib.rs", "mod a;\nmod b;\n"),
        ("c/src/a.rs", "use crate::b::B;\n"),
        ("c/src/b.rs", "struct B;\n#[cfg(test)]\nmod tests { use crate::a::A; }\n"),
        ("c/src/b/tests.rs", "use crate::a::A;\n"),
    ];
    assert_eq!(found(&files), [""; 0]);
}

#[test]
fn finds_a_circle_of_typescript_files() {
    let files = [
        ("p/src/a.ts", "import { b } from \"./b/c.js\";\n"),
        ("p/src/b/c.tsx", "import type { A } from \"../a.js\";\nimport x from \"react\";\n"),
    ];
    assert_eq!(found(&files).len(), 1);
}
