//! Workers and clients of each language send their key, and are refused without one.

use sentinel_client::NewJob;
use sentinel_client::proto::admin::v1::Role;
use sentinel_client::proto::jobs::v1::JobState;

use super::AuthServer;
use crate::harness::{Process, TIMEOUT, wait_until};
use crate::languages::program::Language;

/// Starts an application of this language that watches all jobs.
fn start_watch(auth: &AuthServer, language: Language, key: Option<&str>) -> Process {
    let mut command = language.program("producer");
    if let Some(key) = key {
        command.env("TEST_CREDENTIAL", key);
    }
    command.args([&*auth.server.url(), "watch", ""]);
    let name = format!("{}-{}.log", language.name(), key.is_some());
    Process::start(command, &auth.server.dir.path().join(name))
}

#[tokio::test]
async fn workers_of_each_language_send_their_key() {
    let auth = AuthServer::start(&[]).await;
    let root = auth.client(&auth.root_key);
    let key = auth.create_key(Role::Worker, &["default"]).await;
    for language in Language::ALL {
        let flags = ["--credential", &key];
        let _worker = language.start_worker_with(&auth.server, language.name(), &flags).await;
        let job = NewJob::new("default", "echo").payload("\"hello\"");
        let id = root.enqueue(job).await.expect("enqueue a job").job.id;
        wait_until("the job succeeds", TIMEOUT, || async {
            let job = root.get(&id).await.expect("an existing job");
            (job.state() == JobState::Succeeded).then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn clients_of_each_language_send_their_key() {
    let auth = AuthServer::start(&[]).await;
    let key = auth.create_key(Role::Viewer, &[]).await;
    for language in [Language::Node, Language::Python] {
        let with_key = start_watch(&auth, language, Some(&key));
        wait_until("the watch starts", TIMEOUT, || async {
            with_key.log().contains("snapshot").then_some(())
        })
        .await;
        let mut without_key = start_watch(&auth, language, None);
        assert!(!without_key.wait_exit(TIMEOUT).await.success(), "{}", without_key.log());
        assert!(without_key.log().contains("API key required"), "{}", without_key.log());
    }
}
