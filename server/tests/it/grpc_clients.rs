//! Third-party gRPC clients: grpcurl, which uses server reflection, and a Python client generated
//! from the .proto files.

use std::path::{Path, PathBuf};

use tokio::process::Command;

use crate::harness::{CommandOutput, TestServer, demo_job, enqueue, run, wait_terminal};
use serde_json::{Value, json};

/// Returns the root of the workspace.
fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// Returns the path of a tool: from its environment variable, the installed test tools, or `PATH`.
pub(crate) fn tool(variable: &str, name: &str) -> PathBuf {
    let installed = root().join("target/tools/venv/bin").join(name);
    let paths = std::env::var_os("PATH").unwrap_or_default();
    let on_path = std::env::split_paths(&paths).map(|dir| dir.join(name)).find(|p| p.exists());
    std::env::var_os(variable)
        .map(PathBuf::from)
        .or_else(|| installed.exists().then_some(installed))
        .or_else(|| on_path.filter(|_| name != "python"))
        .unwrap_or_else(|| {
            panic!("{name} is missing: install it by `cargo xtask test --only tools`, or set {variable}")
        })
}

/// Runs `grpcurl -plaintext <flags> <address> <rest>`.
async fn grpcurl(server: &TestServer, flags: &[&str], rest: &[&str]) -> CommandOutput {
    let mut command = Command::new(tool("SENTINEL_TEST_GRPCURL", "grpcurl"));
    command.arg("-plaintext").args(flags).arg(&server.address).args(rest);
    run(command).await
}

#[tokio::test]
async fn grpcurl_lists_and_describes_services_by_reflection() {
    let server = TestServer::start().await;
    let services = grpcurl(&server, &[], &["list"]).await.ok();
    for name in ["jobs.v1.JobService", "admin.v1.QueueService", "workers.v1.WorkerService"] {
        assert!(services.contains(&format!("sentinel.{name}")), "{services}");
    }
    let spec = grpcurl(&server, &[], &["describe", "sentinel.jobs.v1.JobSpec"]).await.ok();
    assert!(spec.contains("string queue = 1"), "{spec}");
    let service = r#"{"service":"sentinel.jobs.v1.JobService"}"#;
    let health = grpcurl(&server, &["-d", service], &["grpc.health.v1.Health/Check"]).await.ok();
    assert!(health.contains("SERVING"), "{health}");
    let whole = grpcurl(&server, &[], &["grpc.health.v1.Health/Check"]).await.ok();
    assert!(whole.contains("SERVING"), "{whole}");
}

#[tokio::test]
async fn grpcurl_enqueues_watches_and_cancels() {
    let server = TestServer::start().await;
    let client = server.client();
    let payload = "eyJtcyI6MjAwfQ=="; // {"ms":200}
    let body = json!({"spec": {"queue": "default", "kind": "demo.sleep", "payload": payload}});
    let enqueue_call = "sentinel.jobs.v1.JobService/Enqueue";
    let response = grpcurl(&server, &["-d", &body.to_string()], &[enqueue_call]).await.ok();
    let response: Value = serde_json::from_str(&response).unwrap();
    let id = response["job"]["id"].as_str().unwrap().to_owned();
    assert_eq!(response["job"]["state"], "JOB_STATE_READY");
    let watch = json!({"jobs": {"ids": [id]}}).to_string();
    let flags = ["-d", watch.as_str()];
    let call = ["sentinel.jobs.v1.JobService/Watch"];
    let watching = grpcurl(&server, &flags, &call);
    let (watched, _worker) = tokio::join!(watching, server.start_worker("w1", &[]));
    let watched = watched.ok();
    assert!(watched.contains("snapshot") && watched.contains("JOB_STATE_SUCCEEDED"), "{watched}");
    let other = enqueue(&client, demo_job("sleep", json!({"ms": 60_000}))).await;
    let body = json!({"id": other, "reason": "grpcurl"}).to_string();
    let call = ["sentinel.jobs.v1.JobService/Cancel"];
    let response = grpcurl(&server, &["-d", &body], &call).await.ok();
    assert!(response.contains("CANCEL_OUTCOME_"), "{response}");
    wait_terminal(&client, &other).await;
}

#[tokio::test]
async fn grpcurl_prints_the_details_of_an_error() {
    let server = TestServer::start().await;
    let body = json!({"spec": {"queue": "default", "kind": "demo.noop", "priority": 10}});
    let body = body.to_string();
    let call = ["sentinel.jobs.v1.JobService/Enqueue"];
    let refused = grpcurl(&server, &["-d", &body], &call).await;
    assert_ne!(refused.code, 0);
    for expected in ["InvalidArgument", "google.rpc.ErrorInfo", "INVALID_FIELD", "spec.priority"] {
        assert!(refused.stderr.contains(expected), "{expected} is missing: {}", refused.stderr);
    }
    // Reflection includes the types of the error details, so grpcurl prints them as messages.
    assert!(refused.stderr.contains("fieldViolations"), "{}", refused.stderr);
}

/// Generates a Python client from the .proto files into a directory.
async fn generate(python: &Path, into: &Path) {
    let mut protoc = Command::new(python);
    let path = |path: &Path| path.display().to_string();
    protoc.args(["-m", "grpc_tools.protoc", "--proto_path"]).arg(root().join("proto"));
    protoc.arg("--proto_path").arg(root().join("target/tools/googleapis"));
    protoc.arg(format!("--python_out={}", path(into)));
    protoc.arg(format!("--grpc_python_out={}", path(into)));
    protoc.args(["sentinel/jobs/v1/job.proto", "sentinel/jobs/v1/job_service.proto"]);
    run(protoc).await.ok();
}

#[tokio::test]
async fn a_python_client_is_generated_and_works() {
    let server = TestServer::start().await;
    let _worker = server.start_worker("w1", &[]).await;
    let python = tool("SENTINEL_TEST_PYTHON", "python");
    let generated = server.dir.path().join("python");
    std::fs::create_dir(&generated).unwrap();
    generate(&python, &generated).await;
    let mut script = Command::new(&python);
    script.arg(root().join("server/tests/it/grpc_clients/client.py"));
    script.arg(&server.address).env("PYTHONPATH", &generated);
    let out = run(script).await.ok();
    let report: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(report["last"], "JOB_STATE_SUCCEEDED", "{report}");
    assert_eq!(report["result"], "2");
    assert!(report["progress"].as_u64().unwrap() >= 1, "{report}");
    assert_eq!(report["cancel"], "CANCEL_OUTCOME_CANCELLED");
    assert_eq!(
        report["error"],
        json!({
            "code": "INVALID_ARGUMENT", "reason": "INVALID_FIELD", "domain": "sentinel",
        })
    );
}
