use super::*;

#[test]
fn sees_what_changed_and_nothing_that_is_made() {
    let folder = tempfile::tempdir().unwrap();
    let write = |path: &str, text: &str| {
        let path = folder.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    write("gateway/panel/src/main.tsx", "one");
    write("proto/sentinel/jobs.proto", "one");
    let first = sources(folder.path()).unwrap();

    write("gateway/panel/dist/index.html", "made");
    write("gateway/panel/node_modules/a/b.js", "made");
    write("gateway/panel/src/gen/jobs.ts", "made");
    write("gateway/panel/e2e/sign-in.e2e.js", "a test");
    assert_eq!(sources(folder.path()).unwrap(), first);

    write("proto/sentinel/jobs.proto", "two");
    let second = sources(folder.path()).unwrap();
    assert_ne!(second, first);
    write("gateway/panel/src/main.tsx", "two");
    assert_ne!(sources(folder.path()).unwrap(), second);
}
