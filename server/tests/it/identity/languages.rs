//! Workers and callers of each language show their key, and are refused without one.

use sentinel_client::NewJob;
use sentinel_client::proto::admin::v1::Role;
use sentinel_client::proto::jobs::v1::JobState;

use super::Guarded;
use crate::harness::{PATIENCE, Process, until};
use crate::languages::program::Language;

/// A watch of everything by an application of this language.
fn watch(guarded: &Guarded, language: Language, key: Option<&str>) -> Process {
    let mut command = language.program("producer");
    if let Some(key) = key {
        command.env("TEST_CREDENTIAL", key);
    }
    command.args([&*guarded.world.server.url(), "watch", ""]);
    let name = format!("{}-{}.log", language.name(), key.is_some());
    Process::start(command, &guarded.world.dir.path().join(name))
}

#[tokio::test]
async fn workers_of_each_language_show_their_key() {
    let guarded = Guarded::start(&[]).await;
    let root = guarded.client(&guarded.root);
    let key = guarded.key(Role::Worker, &["default"]).await;
    for language in Language::ALL {
        let flags = ["--credential", &key];
        let _worker = language.worker_with(&guarded.world, language.name(), &flags).await;
        let job = NewJob::new("default", "echo").payload("\"hello\"");
        let id = root.enqueue(job).await.expect("enqueued").job.id;
        until("the job succeeds", PATIENCE, || async {
            let job = root.get(&id).await.expect("the job");
            (job.state() == JobState::Succeeded).then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn callers_of_each_language_show_their_key() {
    let guarded = Guarded::start(&[]).await;
    let key = guarded.key(Role::Viewer, &[]).await;
    for language in [Language::Node, Language::Python] {
        let watch_with = watch(&guarded, language, Some(&key));
        until("the watch has begun", PATIENCE, || async {
            watch_with.log().contains("snapshot").then_some(())
        })
        .await;
        let mut without = watch(&guarded, language, None);
        assert!(!without.end(PATIENCE).await.success(), "{}", without.log());
        assert!(without.log().contains("needs a key"), "{}", without.log());
    }
}
