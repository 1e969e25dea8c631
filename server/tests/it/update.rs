//! New values for a job that waits: what its worker gets, where lists find it, and that a server
//! that dies loses none of it.

use std::collections::BTreeMap;
use std::time::Duration;

use sentinel_client::proto::jobs::v1::{
    Job, JobFilter, JobSpec, JobState, ListRequest, UpdateRequest,
};
use sentinel_client::{Client, Error};
use serde_json::json;

use crate::harness::{PATIENCE, World, demo, end_of, enqueue, in_state, sentinel, until};

fn request(id: &str, spec: JobSpec, paths: &[&str]) -> UpdateRequest {
    let paths = paths.iter().map(|path| (*path).to_owned()).collect();
    UpdateRequest {
        id: id.to_owned(),
        spec: Some(spec),
        update_mask: Some(prost_types::FieldMask { paths }),
        ..UpdateRequest::default()
    }
}

fn shop(value: &str) -> BTreeMap<String, String> {
    [("shop".to_owned(), value.to_owned())].into()
}

async fn listed(client: &Client, shop_is: &str) -> Vec<String> {
    let filter = JobFilter { labels: shop(shop_is), ..JobFilter::default() };
    let request = ListRequest { filter: Some(filter), ..ListRequest::default() };
    let page = client.list(request).await.expect("a page");
    page.jobs.into_iter().map(|job| job.id).collect()
}

fn reason(answer: Result<Job, Error>) -> String {
    match answer {
        Err(Error::Api { reason, .. }) => reason,
        other => panic!("refused with a reason: {other:?}"),
    }
}

#[tokio::test]
async fn a_job_runs_with_its_new_values_after_the_death_of_the_server() {
    let mut world = World::start().await;
    let client = world.client();
    let new =
        demo("echo", json!({"of": "old"})).delay(Duration::from_secs(3_600)).label("shop", "1");
    let id = enqueue(&client, new).await;
    until("the list has it", PATIENCE, || async {
        (listed(&client, "1").await == [id.clone()]).then_some(())
    })
    .await;
    let spec = JobSpec {
        payload: br#"{"of": "new"}"#.as_slice().into(),
        labels: shop("2"),
        priority: 7,
        ..JobSpec::default()
    };
    let job = client.update(request(&id, spec, &["payload", "labels", "priority"])).await.unwrap();
    assert_eq!((job.state(), job.version), (JobState::Scheduled, 2), "its time stays");
    world.server.kill().await;
    world.server.restart().await;
    until("the list knows its label", PATIENCE, || async {
        (listed(&client, "2").await == [id.clone()]).then_some(())
    })
    .await;
    assert_eq!(listed(&client, "1").await, [""; 0]);
    let at_once = request(&id, JobSpec::default(), &["run_at"]);
    let stale = UpdateRequest { version: 1, ..at_once.clone() };
    assert_eq!(reason(client.update(stale).await), "JOB_VERSION");
    let due = client.update(UpdateRequest { version: 2, ..at_once.clone() }).await.unwrap();
    assert_eq!(due.state(), JobState::Ready);
    let _worker = world.worker("w1", &[]).await;
    let job = end_of(&client, &id).await;
    assert_eq!(
        (job.state(), job.result.as_ref()),
        (JobState::Succeeded, br#"{"of": "new"}"#.as_slice())
    );
    assert_eq!((job.attempt, job.spec.as_ref().unwrap().priority), (1, 7));
    assert_eq!(reason(client.update(at_once).await), "JOB_STARTED");
}

#[tokio::test]
async fn what_can_not_be_changed_is_refused_by_its_field() {
    let world = World::start().await;
    let client = world.client();
    let id = enqueue(&client, demo("sleep", json!({"ms": 60_000}))).await;
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
    assert_eq!(client.get(&id).await.unwrap().version, 1, "nothing changed");
    let server = world.server.url();
    let flags = ["job", "update", &id, "--priority", "3", "--label", "shop=9", "--server", &server];
    let said = sentinel(flags).await.ok();
    assert_eq!(said, format!("{id} ready, version 2\n"));
    let _worker = world.worker("w1", &[]).await;
    in_state(&client, &id, JobState::Running).await;
    let late = request(&id, JobSpec::default(), &["priority"]);
    assert_eq!(reason(client.update(late).await), "JOB_STARTED");
}
