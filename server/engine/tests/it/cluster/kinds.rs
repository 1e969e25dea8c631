//! Kinds that workers of two servers declare.

use super::TestCluster;
use crate::kinds::{hello_with_kind, wait_kind};
use crate::worker::ScriptedWorker;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_newest_session_determines_the_schema_on_every_server() {
    let (_cluster, a, b) = TestCluster::two_servers().await;
    let mut workers = Vec::new();
    for (server, schema) in [(&a, r#"{"v":1}"#), (&b, r#"{"v":2}"#), (&a, r#"{"v":1}"#)] {
        workers.push(ScriptedWorker::join(&server.engine, hello_with_kind("mail", schema)).await);
        for queried in [&a, &b] {
            let kind =
                wait_kind(&queried.engine, "mail", |kind| *kind.known.input_schema == *schema)
                    .await;
            assert_eq!(kind.known.description.as_ref(), "sends mail");
        }
    }
    for queried in [&a, &b] {
        let kind = wait_kind(&queried.engine, "mail", |kind| kind.workers == 3).await;
        assert_eq!(kind.schemas, 2);
    }
    for worker in workers {
        worker.bye().await;
    }
    a.close().await;
    b.close().await;
}
