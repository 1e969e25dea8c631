//! Labels that a queue has made from payloads, through the calls that make and change jobs.

use std::sync::Arc;

use sentinel_domain::{Job, NewValues, Queue, QueueMode};

use crate::house::House;

fn queue(paths: &[&str]) -> Queue {
    let index_paths = paths.iter().map(|path| (*path).into()).collect();
    Queue { index_paths, ..Queue::with_defaults("q".into(), 0) }
}

fn labels(job: &Arc<Job>) -> Vec<(&str, &str)> {
    job.spec.labels.iter().map(|label| (&*label.key, &*label.value)).collect()
}

#[tokio::test]
async fn an_update_renews_what_it_says_and_leaves_the_rest() {
    let house = House::new().await;
    house.engine.create_queue(queue(&["a", "b.c"])).await.expect("made");
    let job = house
        .enqueue(|new| {
            new.payload = br#"{"a":1,"b":{"c":true}}"#.as_slice().into();
            new.labels = vec![("own".into(), "x".into())];
        })
        .await;
    assert_eq!(labels(&job), [("own", "x"), ("payload.a", "1"), ("payload.b.c", "true")]);
    let update = async |values: NewValues| {
        house.engine.update(job.id, &values, None, None).await.expect("updated")
    };
    let payload = |text: &'static str| NewValues {
        payload: Some(text.as_bytes().into()),
        ..NewValues::default()
    };
    let changed = update(payload(r#"{"a":2}"#)).await;
    assert_eq!(labels(&changed), [("own", "x"), ("payload.a", "2")]);
    let own = NewValues { labels: Some(vec![("z".into(), "y".into())]), ..NewValues::default() };
    assert_eq!(labels(&update(own).await), [("payload.a", "2"), ("z", "y")]);
    // The paths of now, and of a queue that takes no new jobs.
    let change = |queue: &mut Queue| {
        queue.index_paths = ["b.c".into()].into();
        queue.mode = QueueMode::Draining;
    };
    house.engine.update_queue("q", change).await.expect("changed");
    let priority = NewValues { priority: Some(3), ..NewValues::default() };
    assert_eq!(labels(&update(priority).await), [("payload.a", "2"), ("z", "y")]);
    let changed = update(payload(r#"{"a":3,"b":{"c":"d"}}"#)).await;
    assert_eq!(labels(&changed), [("payload.b.c", "d"), ("z", "y")]);
    let text = NewValues { content_type: Some("text/plain".into()), ..NewValues::default() };
    assert_eq!(labels(&update(text).await), [("z", "y")]);
}
