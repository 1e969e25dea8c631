//! Ignored tests, allowed and not.

use super::*;

#[test]
fn only_a_soak_test_may_be_ignored() {
    let text = "//! \n#[test]\n#[ignore = \"long\"]\nfn soak_claims() {}\n\n\
                #[test]\n#[ignore]\nasync fn flaky() {}\n// #[ignore]\n";
    let found = check(&Tree::of(&[("a/tests/it/b.rs", text)]));
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].place, "a/tests/it/b.rs:7");
    assert!(found[0].what.contains("fn flaky"));
}
