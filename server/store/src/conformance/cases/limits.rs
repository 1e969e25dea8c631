//! Bounds that a store keeps.

use sentinel_domain::limits::CLASSES_PER_QUEUE;

use super::{Case, T0, cancel};
use crate::conformance::make;
use crate::{Conflict, TransactionResult};

pub(super) async fn kinds_per_queue(mut case: Case) {
    let job = |n: u64| make::job("q", &format!("kind-{n}"), T0, n);
    case.must(T0, (0..CLASSES_PER_QUEUE).map(|n| make::create(&job(n))).collect()).await;
    let one_more = make::create(&job(CLASSES_PER_QUEUE));
    let refused = |kinds: &[u64]| {
        let kinds = kinds.iter().map(|n| format!("kind-{n}").as_str().into()).collect();
        TransactionResult::Conflict(Conflict::TooManyKinds { queue: "q".into(), kinds })
    };
    let (kind, next) = (CLASSES_PER_QUEUE, CLASSES_PER_QUEUE + 1);
    assert_eq!(case.apply(T0, vec![one_more.clone()]).await, [refused(&[kind])]);
    let mut several = make::create(&job(7_000));
    several.changes = [(3, 7_001), (kind, 7_002), (next, 7_003), (kind, 7_004)]
        .map(|(kind, id)| make::create(&make::job("q", &format!("kind-{kind}"), T0, id)).changes)
        .concat();
    several.guards.clear();
    assert_eq!(case.apply(T0, vec![several]).await, [refused(&[kind, next])]);
    let known = make::create(&make::job("q", "kind-0", T0, 9_999));
    let elsewhere = make::create(&make::job("other", "kind-new", T0, 9_998));
    case.must(T0, vec![known, elsewhere]).await;
    case.does(job(7).id, cancel, T0).await;
    case.must(T0, vec![one_more]).await;
}

pub(super) async fn room_in_the_same_call(mut case: Case) {
    let job = |n: u64| make::job("q", &format!("kind-{n}"), T0, n);
    case.must(T0, (0..CLASSES_PER_QUEUE).map(|n| make::create(&job(n))).collect()).await;
    let leaves = case.group(job(7).id, cancel, T0).await;
    let [one, two] = [1, 2].map(|n| make::create(&job(CLASSES_PER_QUEUE + n)));
    let kinds = vec![format!("kind-{}", CLASSES_PER_QUEUE + 2).as_str().into()];
    let refused = TransactionResult::Conflict(Conflict::TooManyKinds { queue: "q".into(), kinds });
    let verdicts = case.apply(T0, vec![leaves, one, two]).await;
    assert_eq!(verdicts, [TransactionResult::Committed, TransactionResult::Committed, refused]);
}
