//! Praise and length.

use super::*;

#[test]
fn sees_praise_and_its_line() {
    let tree = Tree::of(&[("docs/a.md", "plain\nA Blazing queue.\nrobustness, simplyfied\n")]);
    let found = check(&tree);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].place, "docs/a.md:2");
}

#[test]
fn pages_have_a_length() {
    let at_limit = "x\n".repeat(80);
    assert_eq!(check(&Tree::of(&[("README.md", &at_limit)])), []);
    let over = "x\n".repeat(81);
    assert!(check(&Tree::of(&[("README.md", &over)]))[0].what.contains("81 lines"));
    let over = "x\n".repeat(200);
    assert!(check(&Tree::of(&[("ARCHITECTURE.md", &over)]))[0].what.contains("200 lines"));
}

#[test]
fn docs_hold_a_limited_number_of_pages_besides_decisions() {
    let names: Vec<String> =
        (0..=DOCS_PAGES_LIMIT).map(|number| format!("docs/{number}.md")).collect();
    let mut files: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "")).collect();
    assert_eq!(check(&Tree::of(&files))[0].place, "docs");
    files.pop();
    files.push(("docs/decisions/001-a.md", ""));
    assert_eq!(check(&Tree::of(&files)), []);
}
