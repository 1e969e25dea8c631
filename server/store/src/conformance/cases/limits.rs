//! Limits that the store enforces.

use sentinel_domain::limits::KINDS_PER_QUEUE;

use super::{Case, T0, cancel};
use crate::conformance::fixture;
use crate::{Conflict, TransactionResult};

pub(super) async fn a_queue_has_a_limited_number_of_kinds(mut case: Case) {
    let job = |n: u64| fixture::job("q", &format!("kind-{n}"), T0, n);
    case.must_apply(T0, (0..KINDS_PER_QUEUE).map(|n| fixture::create(&job(n))).collect()).await;
    let one_more = fixture::create(&job(KINDS_PER_QUEUE));
    let refused = |kinds: &[u64]| {
        let kinds = kinds.iter().map(|n| format!("kind-{n}").as_str().into()).collect();
        TransactionResult::Conflict(Conflict::TooManyKinds { queue: "q".into(), kinds })
    };
    let (kind, next) = (KINDS_PER_QUEUE, KINDS_PER_QUEUE + 1);
    assert_eq!(case.apply(T0, vec![one_more.clone()]).await, [refused(&[kind])]);
    let mut several = fixture::create(&job(7_000));
    several.mutations = [(3, 7_001), (kind, 7_002), (next, 7_003), (kind, 7_004)]
        .map(|(kind, id)| {
            fixture::create(&fixture::job("q", &format!("kind-{kind}"), T0, id)).mutations
        })
        .concat();
    several.preconditions.clear();
    assert_eq!(case.apply(T0, vec![several]).await, [refused(&[kind, next])]);
    let known = fixture::create(&fixture::job("q", "kind-0", T0, 9_999));
    let other_queue = fixture::create(&fixture::job("other", "kind-new", T0, 9_998));
    case.must_apply(T0, vec![known, other_queue]).await;
    case.execute(job(7).id, cancel, T0).await;
    case.must_apply(T0, vec![one_more]).await;
}

pub(super) async fn a_freed_kind_can_be_used_in_the_same_commit(mut case: Case) {
    let job = |n: u64| fixture::job("q", &format!("kind-{n}"), T0, n);
    case.must_apply(T0, (0..KINDS_PER_QUEUE).map(|n| fixture::create(&job(n))).collect()).await;
    let cancel_one = case.transaction(job(7).id, cancel, T0).await;
    let [one, two] = [1, 2].map(|n| fixture::create(&job(KINDS_PER_QUEUE + n)));
    let kinds = vec![format!("kind-{}", KINDS_PER_QUEUE + 2).as_str().into()];
    let refused = TransactionResult::Conflict(Conflict::TooManyKinds { queue: "q".into(), kinds });
    let results = case.apply(T0, vec![cancel_one, one, two]).await;
    assert_eq!(results, [TransactionResult::Committed, TransactionResult::Committed, refused]);
}
