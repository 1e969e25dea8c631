//! Kinds: their workers, their schemas and their retention.

use sentinel_domain::Millis;
use sentinel_domain::limits::KIND_RETENTION_MS;
use sentinel_engine::session::{Hello, WorkerDetails};
use sentinel_engine::{DeclaredKind, Engine, EngineError, Kind};

use crate::harness::{TestEngine, wait_until};
use crate::worker::{ScriptedWorker, hello};

/// Returns the Hello of a worker that declares a kind with this schema.
pub(crate) fn hello_with_kind(name: &str, schema: &str) -> Hello {
    let kind = DeclaredKind {
        name: name.into(),
        description: "sends mail".into(),
        input_schema: schema.into(),
    };
    let details = WorkerDetails { kinds: vec![kind], ..WorkerDetails::default() };
    Hello { kinds: vec![name.into()], details, ..hello(1) }
}

/// Waits until a kind meets a condition.
pub(crate) async fn wait_kind(
    engine: &Engine,
    name: &str,
    matches: impl Fn(&Kind) -> bool,
) -> Kind {
    wait_until("the kind meets the condition", || async {
        match engine.kinds().get(name).await {
            Ok(kind) => matches(&kind).then_some(kind),
            Err(EngineError::KindNotFound(_)) => None,
            Err(error) => panic!("{error}"),
        }
    })
    .await
}

#[tokio::test]
async fn workers_of_a_kind_are_counted_and_the_newest_schema_is_kept() {
    let test = TestEngine::start().await;
    let old = ScriptedWorker::join(&test.engine, hello_with_kind("mail", r#"{"v":1}"#)).await;
    let first = wait_kind(&test.engine, "mail", |kind| kind.workers == 1).await;
    assert_eq!(
        (&*first.known.input_schema, &*first.known.description),
        (r#"{"v":1}"#, "sends mail")
    );
    assert_eq!(first.schemas, 1);
    test.advance(1_000);
    let new = ScriptedWorker::join(&test.engine, hello_with_kind("mail", r#"{"v":2}"#)).await;
    let undeclared =
        ScriptedWorker::join(&test.engine, Hello { kinds: vec!["mail".into()], ..hello(1) }).await;
    let both = wait_kind(&test.engine, "mail", |kind| kind.workers == 3).await;
    assert_eq!(both.schemas, 2, "a worker without a schema does not count as one");
    let last = wait_kind(&test.engine, "mail", |k| *k.known.input_schema == *r#"{"v":2}"#).await;
    assert!(last.known.declared_at >= first.known.declared_at + 1_000);
    for worker in [old, new, undeclared] {
        worker.bye().await;
    }
    let gone = wait_kind(&test.engine, "mail", |kind| kind.workers == 0).await;
    assert_eq!((gone.schemas, &*gone.known.input_schema), (0, r#"{"v":2}"#));
}

#[tokio::test]
async fn a_kind_without_workers_is_forgotten() {
    let test = TestEngine::start().await;
    let retention_ms = KIND_RETENTION_MS.cast_signed();
    let expiring = ScriptedWorker::join(&test.engine, hello_with_kind("expiring", "")).await;
    let seen_at: Millis = wait_kind(&test.engine, "expiring", |_| true).await.known.seen_at;
    expiring.bye().await;
    test.advance(retention_ms - 60_000);
    test.engine.kinds().touch_live().await.expect("record the kinds");
    let kept = wait_kind(&test.engine, "expiring", |kind| kind.workers == 0).await;
    assert!(kept.known.seen_at - seen_at < 60_000, "{kept:?}");
    let _kept = ScriptedWorker::join(&test.engine, hello_with_kind("kept", "")).await;
    wait_kind(&test.engine, "kept", |_| true).await;
    test.advance(120_000);
    wait_until("the kind is forgotten", || async {
        test.engine.kinds().touch_live().await.expect("record the kinds");
        let gone = test.engine.kinds().get("expiring").await;
        matches!(gone, Err(EngineError::KindNotFound(_))).then_some(())
    })
    .await;
    wait_kind(&test.engine, "kept", |_| true).await;
}

#[tokio::test]
async fn a_page_of_kinds_is_limited_in_bytes() {
    let test = TestEngine::start().await;
    let schema = format!(r#"{{"title":"{}"}}"#, "x".repeat(16_000));
    let all: Vec<String> = (0..300).map(|nth| format!("k{nth:03}")).collect();
    for names in all.chunks(100) {
        let mut hello_frame = hello_with_kind("k", &schema);
        let sample = hello_frame.details.kinds.remove(0);
        hello_frame.kinds = names.iter().map(|name| name.as_str().into()).collect();
        let kind = |name: &String| DeclaredKind { name: name.as_str().into(), ..sample.clone() };
        hello_frame.details.kinds = names.iter().map(kind).collect();
        ScriptedWorker::join(&test.engine, hello_frame).await.bye().await;
    }
    let last = all.last().expect("a last element");
    wait_kind(&test.engine, last, |_| true).await;
    let (mut found, mut pages) = (Vec::<String>::new(), 0);
    loop {
        let after = found.last().cloned().unwrap_or_default();
        let page = test.engine.kinds().list(&after, 1_000).await.expect("a page");
        let bytes: usize = page.kinds.iter().map(|kind| kind.known.input_schema.len()).sum();
        assert!(bytes < 3 << 20, "{bytes} bytes");
        found.extend(page.kinds.into_iter().map(|kind| kind.known.name.to_string()));
        pages += 1;
        if !page.has_more {
            break;
        }
    }
    assert_eq!(found, all);
    assert!(pages > 1);
}
