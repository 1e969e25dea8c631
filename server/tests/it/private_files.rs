//! Data, backups and keys on disk are readable by their user alone.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use sentinel_client::NewJob;

use crate::harness::{TestServer, enqueue, sentinel};

/// Asserts that no other user may use a folder or anything in it.
fn assert_private(folder: &Path) {
    let mode = |path: &Path| path.metadata().expect("an existing file").permissions().mode();
    assert_eq!(mode(folder) & 0o077, 0, "{}", folder.display());
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        match path.is_dir() {
            true => assert_private(&path),
            false => assert_eq!(mode(&path) & 0o177, 0, "{}", path.display()),
        }
    }
}

#[tokio::test]
async fn no_other_user_can_read_data_backups_and_keys() {
    let server = TestServer::with_flags(&["--auto-create-queues"]).await;
    enqueue(&server.client(), NewJob::new("q", "demo.noop")).await;
    let path = |name: &str| server.dir.path().join(name);
    let text = |name: &str| path(name).display().to_string();
    let (data, backup, key) = (text("data"), text("backup"), text("root.key"));
    sentinel(["backup", "--data-dir", &data, &backup]).await.ok();
    let create = ["key", "create", "--name", "root", "--role", "admin", "--data-dir", &data];
    let printed = sentinel([&create[..], &["--out", &key]].concat()).await.ok();
    let restored = text("restored");
    sentinel(["restore", "--data-dir", &restored, &backup]).await.ok();
    for folder in ["data", "backup", "restored"] {
        assert_private(&path(folder));
    }
    let written = std::fs::read_to_string(&key).expect("a key file");
    assert!(written.starts_with("snt_") && !printed.contains(written.trim()), "{printed}");
    let mode = path("root.key").metadata().expect("a key file").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    // An existing file is not overwritten, and no key is created for it.
    let again = sentinel([&create[..], &["--out", &key]].concat()).await;
    assert!(again.stderr.contains("root.key"), "{}", again.stderr);
    assert_eq!(std::fs::read_to_string(&key).expect("a key file"), written);
}
