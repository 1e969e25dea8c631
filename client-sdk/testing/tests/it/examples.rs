//! The examples do what they say.

use sentinel_testing::TestServer;

#[expect(dead_code, reason = "its main is not called here")]
#[path = "../../../examples/quick_start.rs"]
mod quick_start;
#[expect(dead_code, reason = "its main is not called here")]
#[path = "../../../examples/side_effects.rs"]
mod side_effects;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn quick_start_greets() {
    let server = TestServer::start().await;
    let lines = quick_start::run(server.url()).await.unwrap();
    assert_eq!(lines, ["hello Ada", "hello Grace", "job ID failed: nobody to greet"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn side_effects_are_fenced() {
    let server = TestServer::start().await;
    assert_eq!(side_effects::run(server.url()).await.unwrap(), "tea costs 350");
}
