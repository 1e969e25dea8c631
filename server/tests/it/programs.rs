//! Clients that are not ours: grpcurl, which knows the server by reflection alone, and
//! Python, which knows the .proto files alone.

use std::path::{Path, PathBuf};

use tokio::process::Command;

use crate::harness::{Ended, World, demo, end_of, enqueue, run};
use serde_json::{Value, json};

/// The workspace.
fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// By its variable, else where the test tools are installed, else on the PATH.
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

/// `grpcurl -plaintext <flags> <address> <rest>`.
async fn grpcurl(world: &World, flags: &[&str], rest: &[&str]) -> Ended {
    let mut command = Command::new(tool("SENTINEL_TEST_GRPCURL", "grpcurl"));
    command.arg("-plaintext").args(flags).arg(&world.server.address).args(rest);
    run(command).await
}

#[tokio::test]
async fn grpcurl_finds_everything_by_reflection() {
    let world = World::start().await;
    let services = grpcurl(&world, &[], &["list"]).await.ok();
    for name in ["jobs.v1.JobService", "admin.v1.QueueService", "workers.v1.WorkerService"] {
        assert!(services.contains(&format!("sentinel.{name}")), "{services}");
    }
    let spec = grpcurl(&world, &[], &["describe", "sentinel.jobs.v1.JobSpec"]).await.ok();
    assert!(spec.contains("string queue = 1"), "{spec}");
    let service = r#"{"service":"sentinel.jobs.v1.JobService"}"#;
    let health = grpcurl(&world, &["-d", service], &["grpc.health.v1.Health/Check"]).await.ok();
    assert!(health.contains("SERVING"), "{health}");
    let whole = grpcurl(&world, &[], &["grpc.health.v1.Health/Check"]).await.ok();
    assert!(whole.contains("SERVING"), "{whole}");
}

#[tokio::test]
async fn grpcurl_enqueues_watches_and_cancels() {
    let world = World::start().await;
    let client = world.client();
    let payload = "eyJtcyI6MjAwfQ=="; // {"ms":200}
    let body = json!({"spec": {"queue": "default", "kind": "demo.sleep", "payload": payload}});
    let enqueue_call = "sentinel.jobs.v1.JobService/Enqueue";
    let answer = grpcurl(&world, &["-d", &body.to_string()], &[enqueue_call]).await.ok();
    let answer: Value = serde_json::from_str(&answer).unwrap();
    let id = answer["job"]["id"].as_str().unwrap().to_owned();
    assert_eq!(answer["job"]["state"], "JOB_STATE_READY");
    let watch = json!({"jobs": {"ids": [id]}}).to_string();
    let flags = ["-d", watch.as_str()];
    let call = ["sentinel.jobs.v1.JobService/Watch"];
    let watching = grpcurl(&world, &flags, &call);
    let (watched, _worker) = tokio::join!(watching, world.worker("w1", &[]));
    let watched = watched.ok();
    assert!(watched.contains("snapshot") && watched.contains("JOB_STATE_SUCCEEDED"), "{watched}");
    let other = enqueue(&client, demo("sleep", json!({"ms": 60_000}))).await;
    let body = json!({"id": other, "reason": "grpcurl"}).to_string();
    let call = ["sentinel.jobs.v1.JobService/Cancel"];
    let answer = grpcurl(&world, &["-d", &body], &call).await.ok();
    assert!(answer.contains("CANCEL_OUTCOME_"), "{answer}");
    end_of(&client, &other).await;
}

#[tokio::test]
async fn grpcurl_prints_the_details_of_an_error() {
    let world = World::start().await;
    let body = json!({"spec": {"queue": "default", "kind": "demo.noop", "priority": 10}});
    let body = body.to_string();
    let call = ["sentinel.jobs.v1.JobService/Enqueue"];
    let refused = grpcurl(&world, &["-d", &body], &call).await;
    assert_ne!(refused.code, 0);
    for told in ["InvalidArgument", "google.rpc.ErrorInfo", "INVALID_FIELD", "spec.priority"] {
        assert!(refused.err.contains(told), "{told} is missing: {}", refused.err);
    }
    // The details are printed as messages, not as bytes of a type that is not known.
    assert!(refused.err.contains("fieldViolations"), "{}", refused.err);
}

/// Generates the Python client from the .proto files into a directory.
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
    let world = World::start().await;
    let _worker = world.worker("w1", &[]).await;
    let python = tool("SENTINEL_TEST_PYTHON", "python");
    let generated = world.dir.path().join("python");
    std::fs::create_dir(&generated).unwrap();
    generate(&python, &generated).await;
    let mut script = Command::new(&python);
    script.arg(root().join("server/tests/it/programs/client.py"));
    script.arg(&world.server.address).env("PYTHONPATH", &generated);
    let out = run(script).await.ok();
    let told: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(told["last"], "JOB_STATE_SUCCEEDED", "{told}");
    assert_eq!(told["result"], "2");
    assert!(told["progress"].as_u64().unwrap() >= 1, "{told}");
    assert_eq!(told["cancel"], "CANCEL_OUTCOME_CANCELLED");
    assert_eq!(
        told["error"],
        json!({
            "code": "INVALID_ARGUMENT", "reason": "INVALID_FIELD", "domain": "sentinel",
        })
    );
}
