//! Kinds and schemas that workers declare are shown while the workers are connected and afterwards.

use sentinel_client::proto::jobs::v1::JobKind;
use sentinel_client::worker::JobContext;
use sentinel_client::{Client, Job};
use sentinel_proto::jobs::v1::ListKindsRequest;
use sentinel_proto::jobs::v1::kind_service_client::KindServiceClient;
use sentinel_proto::workers::v1::Kind;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::harness::{CommandOutput, InProcessWorker, TIMEOUT, TestServer, sentinel, wait_until};
use crate::languages::program::Language;
use crate::raw::session::{RawSession, hello};
use crate::raw::{RawClients, assert_invalid_field};

/// A typed job.
#[derive(Serialize, Deserialize, schemars::JsonSchema)]
struct Resize {
    /// The location of the image.
    image: String,
    width: u32,
}

impl Job for Resize {
    const KIND: &'static str = "image.resize";
    type Result = u32;
}

async fn resize(_: JobContext, job: Resize) -> Result<u32, std::io::Error> {
    Ok(job.width)
}

async fn cli(server: &TestServer, args: &[&str]) -> CommandOutput {
    let url = server.url();
    let all = ["kind"].iter().chain(args).copied().chain(["--server", &url]);
    sentinel(all).await
}

/// Waits until `sentinel kind show` prints a kind for which `is` holds, and returns it.
async fn wait_kind_shown(server: &TestServer, name: &str, is: impl Fn(&Value) -> bool) -> Value {
    wait_until(&format!("{name} is shown"), TIMEOUT, || async {
        let output = cli(server, &["show", name, "--json"]).await;
        if output.code != 0 {
            return None;
        }
        Some(output.json().remove(0)).filter(&is)
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_schema_of_a_typed_job_is_kept_without_workers() {
    let mut server = TestServer::start().await;
    let worker = InProcessWorker::builder(&server.address, "typed");
    let worker = InProcessWorker::start(worker.job(resize).schema_of::<Resize>());
    let kind = wait_kind_shown(&server, Resize::KIND, |kind| kind["workers"] == 1).await;
    let schema = schemars::schema_for!(Resize);
    assert_eq!(&kind["inputSchema"], schema.as_value());
    assert_eq!(kind["inputSchema"]["required"], serde_json::json!(["image", "width"]));
    let table = cli(&server, &["list"]).await.ok();
    assert!(table.contains("image.resize") && table.contains("declared"), "{table}");
    let text = cli(&server, &["show", Resize::KIND]).await.ok();
    assert!(text.contains("\"The location of the image.\""), "{text}");
    worker.stop().await;
    server.kill().await;
    server.restart().await;
    let after = wait_kind_shown(&server, Resize::KIND, |kind| kind["workers"] == 0).await;
    assert_eq!(after["inputSchema"], kind["inputSchema"]);
    assert_eq!((&after["schemas"], &after["declaredAt"]), (&0.into(), &kind["declaredAt"]));
    assert!(after["lastSeen"].as_str() >= kind["declaredAt"].as_str(), "{after}");
    let missing = cli(&server, &["show", "image.resiz"]).await;
    assert_eq!(missing.code, 3, "{missing:?}");
    assert!(missing.stderr.contains("sentinel kind list"), "{missing:?}");
}

#[tokio::test]
async fn kinds_of_a_worker_of_each_language_are_listed() {
    // A short session TTL, so that sessions expire quickly.
    let server =
        TestServer::with_flags(&["--auto-create-queues", "--ping-interval=1s", "--session-ttl=4s"])
            .await;
    let client = server.client();
    for language in Language::ALL {
        let worker = language.start_worker(&server, language.name()).await;
        wait_until(language.name(), TIMEOUT, || async {
            let kinds = client.list_kinds().await.expect("kinds");
            let live = kinds.iter().filter(|kind| kind.workers == 1).count();
            (live > 1).then_some(())
        })
        .await;
        drop(worker);
        wait_until("the worker is gone", TIMEOUT, || async {
            let kinds = client.list_kinds().await.expect("kinds");
            kinds.iter().all(|kind| kind.workers == 0).then_some(())
        })
        .await;
    }
}

async fn pages(raw: &mut KindServiceClient<tonic::transport::Channel>, size: i32) -> Vec<JobKind> {
    let (mut kinds, mut page_token) = (Vec::new(), String::new());
    loop {
        let request = ListKindsRequest { page_size: size, page_token };
        let page = raw.list_kinds(request).await.expect("a page").into_inner();
        kinds.extend(page.kinds);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return kinds;
        }
    }
}

fn names(kinds: &[JobKind]) -> Vec<&str> {
    kinds.iter().map(|kind| kind.name.as_str()).collect()
}

async fn wait_kind(client: &Client, name: &str, is: impl Fn(&JobKind) -> bool) -> JobKind {
    wait_until(name, TIMEOUT, || async { client.get_kind(name).await.ok().filter(&is) }).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kinds_are_paged_and_conflicts_and_errors_are_reported() {
    let server = TestServer::start().await;
    let (raw, client) = (RawClients::connect(&server).await, server.client());
    let schema = |title: &str| format!(r#"{{"title":"{title}"}}"#);
    let hello_of = |title: String| {
        let kind = |nth| Kind {
            name: format!("k{nth}"),
            description: title.clone(),
            input_schema: schema(&title),
        };
        hello(|hello| {
            hello.instance = title.clone();
            hello.kinds = (0..7).map(kind).collect();
        })
    };
    let (_old, _) = RawSession::join(&raw, hello_of("old".into())).await.expect("a session");
    wait_kind(&client, "k6", |kind| kind.schemas == 1).await;
    let (new, _) = RawSession::join(&raw, hello_of("new".into())).await.expect("a session");
    // The description comes from the ledger and the worker count from the sessions.
    let is_both = |kind: &JobKind| kind.schemas == 2 && kind.input_schema == schema("new");
    let both = wait_kind(&client, "k6", is_both).await;
    assert_eq!((both.description.as_str(), both.workers), ("new", 2));
    let table = cli(&server, &["list"]).await.ok();
    assert!(table.contains("conflicting"), "{table}");
    drop(new);

    let mut kinds = client.raw_kinds();
    let url = server.url();
    let channel = tonic::transport::Endpoint::from_shared(url).expect("a valid address");
    let mut plain = KindServiceClient::new(channel.connect().await.expect("connect"));
    let all = ["k0", "k1", "k2", "k3", "k4", "k5", "k6"];
    for size in [1, 3, 7, 1_000] {
        assert_eq!(names(&pages(&mut plain, size).await), all);
    }
    assert_eq!(names(&client.list_kinds().await.expect("kinds")), all);
    let list = ListKindsRequest { page_size: 1_001, ..ListKindsRequest::default() };
    assert_invalid_field(plain.list_kinds(list).await, "page_size", "0..=1000");
    let list = ListKindsRequest { page_token: "no token!".into(), ..ListKindsRequest::default() };
    assert_invalid_field(kinds.list_kinds(list).await, "page_token", "next_page_token");
    let refused = client.get_kind("").await.expect_err("an error for an empty name");
    assert_eq!(refused.reason(), Some("INVALID_FIELD"));
    let refused = client.get_kind("k7").await.expect_err("an error for an unknown kind");
    assert_eq!(refused.reason(), Some("KIND_NOT_FOUND"));
}
