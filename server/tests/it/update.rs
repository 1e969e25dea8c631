//! Updates of waiting jobs: the worker gets the new values, lists match them, and a crash of the
//! server loses none of them.

use std::collections::BTreeMap;
use std::time::Duration;

use sentinel_client::proto::jobs::v1::{
    Job, JobFilter, JobSpec, JobState, ListRequest, UpdateRequest,
};
use sentinel_client::{Client, Error};
use serde_json::json;

use crate::harness::{
    TIMEOUT, TestServer, demo_job, enqueue, sentinel, wait_state, wait_terminal, wait_until,
};

fn request(id: &str, spec: JobSpec, paths: &[&str]) -> UpdateRequest {
    let paths = paths.iter().map(|path| (*path).to_owned()).collect();
    UpdateRequest {
        id: id.to_owned(),
        spec: Some(spec),
        update_mask: Some(prost_types::FieldMask { paths }),
        ..UpdateRequest::default()
    }
}

/// Returns the label `shop`.
fn shop(value: &str) -> BTreeMap<String, String> {
    [("shop".to_owned(), value.to_owned())].into()
}

/// Returns the ids of the jobs with a `shop` label.
async fn list_by_shop(client: &Client, shop_is: &str) -> Vec<String> {
    let filter = JobFilter { labels: shop(shop_is), ..JobFilter::default() };
    let request = ListRequest { filter: Some(filter), ..ListRequest::default() };
    let page = client.list_page(request).await.expect("a page");
    page.jobs.into_iter().map(|job| job.id).collect()
}

/// Returns the reason of an error.
fn reason(result: Result<Job, Error>) -> String {
    match result {
        Err(Error::Api { reason, .. }) => reason,
        other => panic!("expected an error with a reason, got {other:?}"),
    }
}

#[tokio::test]
async fn a_job_runs_with_its_new_values_after_a_server_crash() {
    let mut server = TestServer::start().await;
    let client = server.client();
    let new =
        demo_job("echo", json!({"of": "old"})).delay(Duration::from_secs(3_600)).label("shop", "1");
    let id = enqueue(&client, new).await;
    wait_until("the list has the job", TIMEOUT, || async {
        (list_by_shop(&client, "1").await == [id.clone()]).then_some(())
    })
    .await;
    let spec = JobSpec {
        payload: br#"{"of": "new"}"#.as_slice().into(),
        labels: shop("2"),
        priority: 7,
        ..JobSpec::default()
    };
    let job = client.update(request(&id, spec, &["payload", "labels", "priority"])).await.unwrap();
    assert_eq!(
        (job.state(), job.version),
        (JobState::Scheduled, 2),
        "the start time must not change"
    );
    server.kill().await;
    server.restart().await;
    wait_until("the list has the new label", TIMEOUT, || async {
        (list_by_shop(&client, "2").await == [id.clone()]).then_some(())
    })
    .await;
    assert_eq!(list_by_shop(&client, "1").await, [""; 0]);
    let run_now = request(&id, JobSpec::default(), &["run_at"]);
    let stale = UpdateRequest { version: 1, ..run_now.clone() };
    assert_eq!(reason(client.update(stale).await), "JOB_VERSION");
    let due = client.update(UpdateRequest { version: 2, ..run_now.clone() }).await.unwrap();
    assert_eq!(due.state(), JobState::Ready);
    let _worker = server.start_worker("w1", &[]).await;
    let job = wait_terminal(&client, &id).await;
    assert_eq!(
        (job.state(), job.result.as_ref()),
        (JobState::Succeeded, br#"{"of": "new"}"#.as_slice())
    );
    assert_eq!((job.attempt, job.spec.as_ref().unwrap().priority), (1, 7));
    assert_eq!(reason(client.update(run_now).await), "JOB_STARTED");
}

#[tokio::test]
async fn an_error_names_the_field_that_cannot_be_updated() {
    let server = TestServer::start().await;
    let client = server.client();
    let id = enqueue(&client, demo_job("sleep", json!({"ms": 60_000}))).await;
    let bad = [
        (JobSpec::default(), vec![], "update_mask"),
        (JobSpec::default(), vec!["kind"], "update_mask"),
        (JobSpec { priority: 10, ..JobSpec::default() }, vec!["priority"], "spec.priority"),
        (
            JobSpec { labels: shop(&"x".repeat(257)), ..JobSpec::default() },
            vec!["labels"],
            "spec.labels[\"shop\"]",
        ),
        (
            JobSpec { payload: vec![b'x'; (1 << 20) + 1].into(), ..JobSpec::default() },
            vec!["payload"],
            "spec.payload",
        ),
    ];
    for (spec, paths, field) in bad {
        match client.update(request(&id, spec, &paths)).await {
            Err(Error::Api { field_violations, .. }) => {
                assert_eq!(field_violations[0].field, field);
            }
            other => panic!("{field}: {other:?}"),
        }
    }
    assert_eq!(client.get(&id).await.unwrap().version, 1, "the job must be unchanged");
    let url = server.url();
    let flags = ["job", "update", &id, "--priority", "3", "--label", "shop=9", "--server", &url];
    let output = sentinel(flags).await.ok();
    assert_eq!(output, format!("{id} ready, version 2\n"));
    let _worker = server.start_worker("w1", &[]).await;
    wait_state(&client, &id, JobState::Running).await;
    let late = request(&id, JobSpec::default(), &["priority"]);
    assert_eq!(reason(client.update(late).await), "JOB_STARTED");
}
