//! Kinds that workers of two servers declare.

use super::Site;
use crate::kinds::{declares, kind_that};
use crate::worker::Worker;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_session_that_began_last_has_the_word_wherever_it_is() {
    let (_site, a, b) = Site::two().await;
    let mut workers = Vec::new();
    for (home, schema) in [(&a, r#"{"v":1}"#), (&b, r#"{"v":2}"#), (&a, r#"{"v":1}"#)] {
        workers.push(Worker::join(&home.engine, declares("mail", schema)).await);
        for asked in [&a, &b] {
            let kind =
                kind_that(&asked.engine, "mail", |kind| *kind.known.input_schema == *schema).await;
            assert_eq!(kind.known.description.as_ref(), "sends");
        }
    }
    for asked in [&a, &b] {
        let kind = kind_that(&asked.engine, "mail", |kind| kind.workers == 3).await;
        assert_eq!(kind.schemas, 2);
    }
    for worker in workers {
        worker.bye().await;
    }
    a.close().await;
    b.close().await;
}
