use super::*;

#[test]
fn reads_the_version_of_node() {
    assert_eq!(major("v20.20.2\n"), Some(20));
    assert_eq!(major("v8.0.0"), Some(8));
    assert_eq!(major("node: not found"), None);
}

#[test]
fn builds_again_what_changed_or_was_broken_off() {
    let folder = tempfile::tempdir().unwrap();
    let stamp = folder.path().join("stamp");
    let mut builds = 0;
    let mut ensure_from = |wanted: &str, works: bool| {
        ensure(&stamp, wanted, || {
            builds += 1;
            if works { Ok(()) } else { anyhow::bail!("broken off") }
        })
    };
    assert!(ensure_from("one", false).is_err());
    ensure_from("one", true).unwrap();
    ensure_from("one", true).unwrap();
    ensure_from("two", true).unwrap();
    assert_eq!(builds, 3);
}
