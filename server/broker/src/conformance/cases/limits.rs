//! Bounds that a store keeps.

use sentinel_domain::limits::CLASSES_PER_QUEUE;

use super::{Case, T0, cancel};
use crate::conformance::make;
use crate::{Conflict, Verdict};

pub(super) async fn kinds_per_queue(mut case: Case) {
    let job = |n: u64| make::job("q", &format!("kind-{n}"), T0, n);
    case.must(T0, (0..CLASSES_PER_QUEUE).map(|n| make::create(&job(n))).collect()).await;
    let one_more = make::create(&job(CLASSES_PER_QUEUE));
    let refused = Verdict::Conflict(Conflict::TooManyKinds { queue: "q".into() });
    assert_eq!(case.apply(T0, vec![one_more.clone()]).await, [refused]);
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
    let refused = Verdict::Conflict(Conflict::TooManyKinds { queue: "q".into() });
    let verdicts = case.apply(T0, vec![leaves, one, two]).await;
    assert_eq!(verdicts, [Verdict::Committed, Verdict::Committed, refused]);
}
