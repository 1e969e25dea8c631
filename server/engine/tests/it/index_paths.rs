//! Index labels of payloads when jobs are created and updated.

use std::sync::Arc;

use sentinel_domain::{Job, Queue, QueueMode, SpecUpdate};

use crate::harness::TestEngine;

fn queue(paths: &[&str]) -> Queue {
    let index_paths = paths.iter().map(|path| (*path).into()).collect();
    Queue { index_paths, ..Queue::with_defaults("q".into(), 0) }
}

fn labels(job: &Arc<Job>) -> Vec<(&str, &str)> {
    job.spec.labels.iter().map(|label| (&*label.key, &*label.value)).collect()
}

#[tokio::test]
async fn an_update_of_a_payload_updates_only_its_index_labels() {
    let test = TestEngine::start().await;
    test.engine.queues().create(queue(&["a", "b.c"])).await.expect("create a queue");
    let job = test
        .enqueue(|new| {
            new.payload = br#"{"a":1,"b":{"c":true}}"#.as_slice().into();
            new.labels = vec![("own".into(), "x".into())];
        })
        .await;
    assert_eq!(labels(&job), [("own", "x"), ("payload.a", "1"), ("payload.b.c", "true")]);
    let update = async |values: SpecUpdate| {
        test.engine.jobs().update(job.id, &values, None, None).await.expect("update the job")
    };
    let payload = |text: &'static str| SpecUpdate {
        payload: Some(text.as_bytes().into()),
        ..SpecUpdate::default()
    };
    let changed = update(payload(r#"{"a":2}"#)).await;
    assert_eq!(labels(&changed), [("own", "x"), ("payload.a", "2")]);
    let own = SpecUpdate { labels: Some(vec![("z".into(), "y".into())]), ..SpecUpdate::default() };
    assert_eq!(labels(&update(own).await), [("payload.a", "2"), ("z", "y")]);
    // The current paths apply, also in a draining queue.
    let change = |queue: &mut Queue| {
        queue.index_paths = ["b.c".into()].into();
        queue.mode = QueueMode::Draining;
    };
    test.engine.queues().update("q", change).await.expect("update the queue");
    let priority = SpecUpdate { priority: Some(3), ..SpecUpdate::default() };
    assert_eq!(labels(&update(priority).await), [("payload.a", "2"), ("z", "y")]);
    let changed = update(payload(r#"{"a":3,"b":{"c":"d"}}"#)).await;
    assert_eq!(labels(&changed), [("payload.b.c", "d"), ("z", "y")]);
    let text = SpecUpdate { content_type: Some("text/plain".into()), ..SpecUpdate::default() };
    assert_eq!(labels(&update(text).await), [("z", "y")]);
}
