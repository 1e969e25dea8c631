//! Links of every form.

use super::*;

#[test]
fn links_that_lead_somewhere_pass() {
    let readme = "# Top\n[a](docs/a.md) [b](docs/a.md#two-words) [c](#top) [d](./docs/) \
                  [e](https://example.com/none) `[f](none.md)`\n```\n[g](none.md)\n```\n";
    let tree =
        Tree::of(&[("README.md", readme), ("docs/a.md", "## Two words!\n[up](../README.md)\n")]);
    assert_eq!(check(&tree), []);
}

#[test]
fn sees_a_missing_file_and_a_missing_heading() {
    let tree = Tree::of(&[
        ("README.md", "\n[a](docs/none.md)\n"),
        ("docs/a.md", "# One\n[b](#two) [c](../../out.md)\n"),
    ]);
    let found: Vec<(String, String)> =
        check(&tree).into_iter().map(|problem| (problem.place, problem.what)).collect();
    assert_eq!(found.len(), 3);
    assert_eq!(found[0].0, "README.md:2");
    assert!(found[1].1.contains("no such heading"), "{found:?}");
    assert!(found[2].1.contains("does not exist"), "{found:?}");
}
