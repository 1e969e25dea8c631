//! The examples of the SDK run against a real server.

use sentinel_testing::TestServer;

#[expect(dead_code, reason = "main is not called here")]
#[path = "../../../examples/ingest.rs"]
mod ingest;
#[expect(dead_code, reason = "main is not called here")]
#[path = "../../../examples/quick_start.rs"]
mod quick_start;
#[expect(dead_code, reason = "main is not called here")]
#[path = "../../../examples/side_effects.rs"]
mod side_effects;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn quick_start_returns_results_and_the_failure() {
    let server = TestServer::start().await;
    let lines = quick_start::run(server.url()).await.unwrap();
    assert_eq!(lines, ["hello Ada", "hello Grace", "job ID failed: the name is empty"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn side_effects_sets_the_price() {
    let server = TestServer::start().await;
    assert_eq!(side_effects::run(server.url()).await.unwrap(), "tea costs 350");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ingest_enqueues_each_line_once() {
    let server = TestServer::start().await;
    let file = std::env::temp_dir().join(format!("sentinel-lines-{}", std::process::id()));
    std::fs::write(&file, "a\nb\n").unwrap();
    assert_eq!(ingest::run(server.url(), &file).await.unwrap(), "0 lines before, 2 now");
    std::fs::write(&file, "a\nb\nc\n").unwrap();
    assert_eq!(ingest::run(server.url(), &file).await.unwrap(), "2 lines before, 3 now");
    std::fs::remove_file(&file).unwrap();
}
