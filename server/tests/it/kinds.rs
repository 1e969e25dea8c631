//! The kinds that workers declare: shown with their schemas while workers live, and after.

use sentinel_client::proto::jobs::v1::JobKind;
use sentinel_client::worker::Context;
use sentinel_client::{Client, Job};
use sentinel_proto::jobs::v1::ListKindsRequest;
use sentinel_proto::jobs::v1::kind_service_client::KindServiceClient;
use sentinel_proto::workers::v1::Kind;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::harness::{Ended, LocalWorker, PATIENCE, World, sentinel, until};
use crate::languages::program::Language;
use crate::raw::session::{Session, hello};
use crate::raw::{Raw, refuses};

/// A typed job of an application.
#[derive(Serialize, Deserialize, schemars::JsonSchema)]
struct Resize {
    /// Where the image is.
    image: String,
    width: u32,
}

impl Job for Resize {
    const KIND: &'static str = "image.resize";
    type Output = u32;
}

async fn resize(_: Context, job: Resize) -> Result<u32, std::io::Error> {
    Ok(job.width)
}

async fn cli(world: &World, args: &[&str]) -> Ended {
    let url = world.server.url();
    let all = ["kind"].iter().chain(args).copied().chain(["--server", &url]);
    sentinel(all).await
}

/// What the command line shows of a kind, once it is so.
async fn shown(world: &World, name: &str, is: impl Fn(&Value) -> bool) -> Value {
    until(&format!("{name} is shown"), PATIENCE, || async {
        let ended = cli(world, &["show", name, "--json"]).await;
        if ended.code != 0 {
            return None;
        }
        Some(ended.json().remove(0)).filter(&is)
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_typed_job_shows_its_schema_also_when_no_worker_is_left() {
    let mut world = World::start().await;
    let worker = LocalWorker::builder(&world.server.address, "typed");
    let worker = LocalWorker::start(worker.job(resize).schema_of::<Resize>());
    let kind = shown(&world, Resize::KIND, |kind| kind["workers"] == 1).await;
    let schema = schemars::schema_for!(Resize);
    assert_eq!(&kind["inputSchema"], schema.as_value());
    assert_eq!(kind["inputSchema"]["required"], serde_json::json!(["image", "width"]));
    let table = cli(&world, &["list"]).await.ok();
    assert!(table.contains("image.resize") && table.contains("declared"), "{table}");
    let text = cli(&world, &["show", Resize::KIND]).await.ok();
    assert!(text.contains("\"Where the image is.\""), "{text}");
    worker.stop().await;
    world.server.kill().await;
    world.server.restart().await;
    let after = shown(&world, Resize::KIND, |kind| kind["workers"] == 0).await;
    assert_eq!(after["inputSchema"], kind["inputSchema"]);
    assert_eq!((&after["schemas"], &after["declaredAt"]), (&0.into(), &kind["declaredAt"]));
    assert!(after["lastSeen"].as_str() >= kind["declaredAt"].as_str(), "{after}");
    let missing = cli(&world, &["show", "image.resiz"]).await;
    assert_eq!(missing.code, 3, "{missing:?}");
    assert!(missing.err.contains("sentinel kind list"), "{missing:?}");
}

#[tokio::test]
async fn kinds_of_a_worker_of_each_language_are_listed() {
    // A session that is gone is so soon.
    let world = World::with(&["--auto-create-queues", "--ping=1s", "--session-ttl=4s"]).await;
    let client = world.client();
    for language in Language::ALL {
        let worker = language.worker(&world, language.name()).await;
        until(language.name(), PATIENCE, || async {
            let kinds = client.list_kinds().await.expect("kinds");
            let live = kinds.iter().filter(|kind| kind.workers == 1).count();
            (live > 1).then_some(())
        })
        .await;
        drop(worker);
        until("it is gone", PATIENCE, || async {
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

async fn kind_that(client: &Client, name: &str, is: impl Fn(&JobKind) -> bool) -> JobKind {
    until(name, PATIENCE, || async { client.get_kind(name).await.ok().filter(&is) }).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_of_kinds_conflicts_and_refusals() {
    let world = World::start().await;
    let (raw, client) = (Raw::connect(&world).await, world.client());
    let schema = |title: &str| format!(r#"{{"title":"{title}"}}"#);
    let declares = |title: String| {
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
    let (_old, _) = Session::join(&raw, declares("old".into())).await.expect("joins");
    kind_that(&client, "k6", |kind| kind.schemas == 1).await;
    let (new, _) = Session::join(&raw, declares("new".into())).await.expect("joins");
    // The words come from the ledger, the count from the sessions.
    let is_both = |kind: &JobKind| kind.schemas == 2 && kind.input_schema == schema("new");
    let both = kind_that(&client, "k6", is_both).await;
    assert_eq!((both.description.as_str(), both.workers), ("new", 2));
    let table = cli(&world, &["list"]).await.ok();
    assert!(table.contains("conflicting"), "{table}");
    drop(new);

    let mut kinds = client.raw_kinds();
    let url = world.server.url();
    let channel = tonic::transport::Endpoint::from_shared(url).expect("an address");
    let mut plain = KindServiceClient::new(channel.connect().await.expect("connect"));
    let all = ["k0", "k1", "k2", "k3", "k4", "k5", "k6"];
    for size in [1, 3, 7, 1_000] {
        assert_eq!(names(&pages(&mut plain, size).await), all);
    }
    assert_eq!(names(&client.list_kinds().await.expect("kinds")), all);
    let list = ListKindsRequest { page_size: 1_001, ..ListKindsRequest::default() };
    refuses(plain.list_kinds(list).await, "page_size", "0..=1000");
    let list = ListKindsRequest { page_token: "no token!".into(), ..ListKindsRequest::default() };
    refuses(kinds.list_kinds(list).await, "page_token", "next_page_token");
    let refused = client.get_kind("").await.expect_err("no name");
    assert_eq!(refused.reason(), Some("INVALID_FIELD"));
    let refused = client.get_kind("k7").await.expect_err("no such kind");
    assert_eq!(refused.reason(), Some("KIND_NOT_FOUND"));
}
