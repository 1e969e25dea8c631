//! Sleeping tests, in each place where a test can stand.

use super::*;

fn places(tree: &Tree, allowed: &[(&str, &str)]) -> Vec<String> {
    check_with(tree, allowed).into_iter().map(|problem| problem.place).collect()
}

#[test]
fn sees_sleeps_in_tests_and_not_in_code() {
    let nap = "//! A.\nfn f() { tokio::time::sleep(d).await; std::thread::sleep(d); }\n";
    let inline = format!("{nap}#[cfg(test)]\nmod tests {{\n fn g() {{ sleep(d) }}\n}}\n");
    let tree = Tree::of(&[
        ("a/src/b.rs", nap),
        ("a/src/c.rs", &inline),
        ("a/src/b/tests.rs", nap),
        ("a/tests/it/main.rs", nap),
    ]);
    assert_eq!(
        places(&tree, &[]),
        [
            "a/src/c.rs:5",
            "a/src/b/tests.rs:2",
            "a/src/b/tests.rs:2",
            "a/tests/it/main.rs:2",
            "a/tests/it/main.rs:2",
        ]
    );
}

#[test]
fn a_listed_polling_function_may_sleep() {
    let tree = Tree::of(&[("a/tests/it/wait.rs", "fn until() { sleep(d) }\n")]);
    assert_eq!(places(&tree, &[("a/tests/it/wait.rs", "bounded")]), Vec::<String>::new());
    let stale = [("a/tests/it/wait.rs", "bounded"), ("gone.rs", "old")];
    assert_eq!(places(&tree, &stale), ["gone.rs"]);
}
