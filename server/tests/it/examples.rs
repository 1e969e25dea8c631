//! The example project of the Python SDK, installed from its wheel into an empty environment. Those
//! of NestJS are tested with their package.

use crate::harness::TestServer;
use crate::languages::program::{built, python, root};

#[tokio::test]
async fn the_fastapi_example_runs_from_the_wheel() {
    let server = TestServer::with_flags(&["--auto-create-queues"]).await;
    let wheels = built("target/python/wheels", "python");
    let wheel = std::fs::read_dir(wheels).expect("a folder").next().expect("a wheel");
    let folder = tempfile::tempdir().expect("a temporary directory");
    let mut program = python();
    program
        .arg(root().join("client-sdk/python/tests/fastapi_example.py"))
        .arg(&server.address)
        .arg(wheel.expect("a file").path())
        .arg(folder.path());
    let output = program.kill_on_drop(true).output().await.expect("python runs");
    let log = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{log}");
}
