//! Declared kinds, on every backend.

use sentinel_domain::Millis;
use sentinel_domain::limits::KINDS_MAX;
use sentinel_ledger::{KnownKind, Ledger};

use crate::backend::{BackendKind, fresh_ledger, on_every_backend};

const NOW: Millis = 1_790_000_000_000;

on_every_backend!(
    the_declaration_of_the_newest_session_is_kept,
    a_kind_is_kept_while_it_is_seen,
    pages_are_sorted_by_name,
    the_least_recently_seen_kinds_are_deleted_at_the_limit,
);

pub(crate) fn kind(name: &str, since: Millis, seen_at: Millis) -> KnownKind {
    KnownKind {
        name: name.into(),
        description: format!("{name} \u{1F980} of {since}").into(),
        input_schema: format!(r#"{{"title":"{name} of {since}"}}"#).into(),
        declared_at: since,
        seen_at,
    }
}

async fn names(ledger: &Ledger) -> Vec<String> {
    let kinds = ledger.kinds(String::new(), 100).await.expect("kinds");
    kinds.iter().map(|kind| kind.name.to_string()).collect()
}

async fn the_declaration_of_the_newest_session_is_kept(backend: BackendKind) {
    let (database, ledger) = fresh_ledger(backend).await;
    let declare =
        async |kinds: Vec<KnownKind>| ledger.declare_kinds(kinds).await.expect("declared");
    declare(vec![kind("mail", NOW, NOW), kind("Mail", NOW, NOW)]).await;
    declare(vec![kind("mail", NOW - 1, NOW + 5)]).await;
    let other = database.open().await;
    let seen = KnownKind { seen_at: NOW + 5, ..kind("mail", NOW, NOW) };
    assert_eq!(
        other.kind("mail".into()).await,
        Ok(Some(seen)),
        "an older declaration only updates the time"
    );
    assert_eq!(other.kind("Mail".into()).await, Ok(Some(kind("Mail", NOW, NOW))));
    let empty =
        KnownKind { description: "".into(), input_schema: "".into(), ..kind("mail", NOW, NOW) };
    declare(vec![empty.clone()]).await;
    let seen = KnownKind { seen_at: NOW + 5, ..empty };
    assert_eq!(
        other.kind("mail".into()).await,
        Ok(Some(seen)),
        "of two declarations at one time the last is kept"
    );
    assert_eq!(other.kind("mai".into()).await, Ok(None));
}

async fn a_kind_is_kept_while_it_is_seen(backend: BackendKind) {
    let (_database, ledger) = fresh_ledger(backend).await;
    let kinds = ["a", "b", "c"].map(|name| kind(name, NOW, NOW));
    ledger.declare_kinds(kinds.into()).await.expect("declared");
    let all = ["b".into(), "c".into(), "unknown".into()];
    ledger.touch_kinds(all.into(), NOW + 2).await.expect("recorded");
    ledger.touch_kinds(vec!["c".into()], NOW + 1).await.expect("recorded");
    ledger.delete_unseen_kinds(NOW).await.expect("deleted");
    assert_eq!(names(&ledger).await, ["a", "b", "c"]);
    ledger.delete_unseen_kinds(NOW + 2).await.expect("deleted");
    assert_eq!(names(&ledger).await, ["b", "c"], "a time is never set back");
}

async fn pages_are_sorted_by_name(backend: BackendKind) {
    let (_database, ledger) = fresh_ledger(backend).await;
    // Sorted by their bytes.
    let sorted = ["-", ".a", "B", "a", "a-b", "a.b", "a_b", "aa", "z"];
    let mut kinds = sorted.map(|name| kind(name, NOW, NOW));
    kinds.reverse();
    ledger.declare_kinds(kinds.into()).await.expect("declared");
    let mut found = Vec::new();
    loop {
        let after = found.last().cloned().unwrap_or_default();
        let page = ledger.kinds(after, 2).await.expect("a page");
        if page.is_empty() {
            break;
        }
        assert!(page.len() <= 2);
        found.extend(page.into_iter().map(|kind| kind.name.to_string()));
    }
    assert_eq!(found, sorted);
}

async fn the_least_recently_seen_kinds_are_deleted_at_the_limit(backend: BackendKind) {
    let (_database, ledger) = fresh_ledger(backend).await;
    let max = KINDS_MAX as usize;
    let all: Vec<_> =
        (0..max).map(|nth| kind(&format!("k{nth:05}"), NOW, NOW + nth as Millis)).collect();
    for some in all.chunks(1_000) {
        ledger.declare_kinds(some.to_vec()).await.expect("declared");
    }
    assert_eq!(
        names(&ledger).await.first().map(String::as_str),
        Some("k00000"),
        "the limit is not exceeded"
    );
    let new = ["new1", "new2"].map(|name| kind(name, NOW, NOW + max as Millis));
    ledger.declare_kinds(new.into()).await.expect("declared");
    for (name, is_there) in [("k00000", false), ("k00001", false), ("k00002", true), ("new2", true)]
    {
        let found = ledger.kind(name.into()).await.expect("a result");
        assert_eq!(found.is_some(), is_there, "{name}");
    }
}
