//! Staleness is seen in all three forms.

use super::*;

fn write(root: &Path, path: &str, text: &str) {
    let path = root.join(path);
    std::fs::create_dir_all(path.parent().expect("a folder")).expect("create folders");
    std::fs::write(path, text).expect("write");
}

#[test]
fn equal_trees_are_fresh() {
    let (committed, fresh) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    write(committed.path(), "proto/src/gen/a.rs", "x");
    write(fresh.path(), "proto/src/gen/a.rs", "x");
    assert_eq!(compare(committed.path(), fresh.path()).unwrap(), Vec::<String>::new());
}

#[test]
fn names_each_file_that_differs_is_missing_or_orphaned() {
    let (committed, fresh) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    write(committed.path(), "proto/src/gen/a.rs", "old");
    write(committed.path(), "proto/src/gen/gone.rs", "x");
    write(fresh.path(), "proto/src/gen/a.rs", "new");
    write(fresh.path(), "server/store/src/gen/b.rs", "x");
    assert_eq!(
        compare(committed.path(), fresh.path()).unwrap(),
        [
            "proto/src/gen/gone.rs has no .proto file",
            "proto/src/gen/a.rs differs from its .proto file",
            "server/store/src/gen/b.rs is missing",
        ]
    );
}
