//! What is known of kinds: who has them, what they say, and for how long.

use sentinel_domain::Millis;
use sentinel_domain::limits::KIND_KEEP_MS;
use sentinel_engine::session::{About, Hello};
use sentinel_engine::{DeclaredKind, Engine, EngineError, Kind};

use crate::house::{House, eventually};
use crate::worker::{Worker, hello};

/// A worker with a kind of this name and schema.
pub(crate) fn declares(name: &str, schema: &str) -> Hello {
    let kind = DeclaredKind {
        name: name.into(),
        description: "sends".into(),
        input_schema: schema.into(),
    };
    let about = About { kinds: vec![kind], ..About::default() };
    Hello { kinds: vec![name.into()], about, ..hello(1) }
}

/// Once it holds.
pub(crate) async fn kind_that(engine: &Engine, name: &str, is: impl Fn(&Kind) -> bool) -> Kind {
    eventually("the kind is known so", || async {
        match engine.get_kind(name).await {
            Ok(kind) => is(&kind).then_some(kind),
            Err(EngineError::KindNotFound(_)) => None,
            Err(error) => panic!("{error}"),
        }
    })
    .await
}

#[tokio::test]
async fn who_has_a_kind_is_counted_and_the_last_words_count() {
    let house = House::new().await;
    let old = Worker::join(&house.engine, declares("mail", r#"{"v":1}"#)).await;
    let first = kind_that(&house.engine, "mail", |kind| kind.workers == 1).await;
    assert_eq!((&*first.known.input_schema, &*first.known.description), (r#"{"v":1}"#, "sends"));
    assert_eq!(first.schemas, 1);
    house.advance(1_000);
    let new = Worker::join(&house.engine, declares("mail", r#"{"v":2}"#)).await;
    let silent =
        Worker::join(&house.engine, Hello { kinds: vec!["mail".into()], ..hello(1) }).await;
    let both = kind_that(&house.engine, "mail", |kind| kind.workers == 3).await;
    assert_eq!(both.schemas, 2, "who declares none is in nobody's way");
    let last = kind_that(&house.engine, "mail", |k| *k.known.input_schema == *r#"{"v":2}"#).await;
    assert!(last.known.declared_at >= first.known.declared_at + 1_000);
    for worker in [old, new, silent] {
        worker.bye().await;
    }
    let gone = kind_that(&house.engine, "mail", |kind| kind.workers == 0).await;
    assert_eq!((gone.schemas, &*gone.known.input_schema), (0, r#"{"v":2}"#));
}

#[tokio::test]
async fn a_kind_that_nobody_has_is_forgotten() {
    let house = House::new().await;
    let keep = KIND_KEEP_MS.cast_signed();
    let goes = Worker::join(&house.engine, declares("goes", "")).await;
    let seen_at: Millis = kind_that(&house.engine, "goes", |_| true).await.known.seen_at;
    goes.bye().await;
    house.advance(keep - 60_000);
    house.engine.see_kinds().await.expect("seen");
    let kept = kind_that(&house.engine, "goes", |kind| kind.workers == 0).await;
    assert!(kept.known.seen_at - seen_at < 60_000, "{kept:?}");
    let _stays = Worker::join(&house.engine, declares("stays", "")).await;
    kind_that(&house.engine, "stays", |_| true).await;
    house.advance(120_000);
    eventually("it is forgotten", || async {
        house.engine.see_kinds().await.expect("seen");
        let gone = house.engine.get_kind("goes").await;
        matches!(gone, Err(EngineError::KindNotFound(_))).then_some(())
    })
    .await;
    kind_that(&house.engine, "stays", |_| true).await;
}

#[tokio::test]
async fn pages_end_where_their_words_are_many() {
    let house = House::new().await;
    let schema = format!(r#"{{"title":"{}"}}"#, "x".repeat(16_000));
    let all: Vec<String> = (0..300).map(|nth| format!("k{nth:03}")).collect();
    for names in all.chunks(100) {
        let mut greeting = declares("k", &schema);
        let sample = greeting.about.kinds.remove(0);
        greeting.kinds = names.iter().map(|name| name.as_str().into()).collect();
        let kind = |name: &String| DeclaredKind { name: name.as_str().into(), ..sample.clone() };
        greeting.about.kinds = names.iter().map(kind).collect();
        Worker::join(&house.engine, greeting).await.bye().await;
    }
    let last = all.last().expect("some");
    kind_that(&house.engine, last, |_| true).await;
    let (mut found, mut pages) = (Vec::<String>::new(), 0);
    loop {
        let after = found.last().cloned().unwrap_or_default();
        let page = house.engine.list_kinds(&after, 1_000).await.expect("a page");
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
