//! A hot store that does not answer, or that lost what it acknowledged: probes are told. In the
//! second case the server waits until somebody has rebuilt it.

use std::borrow::Cow;

use sentinel_engine::Tasks;
use sentinel_store_redis::Condition;
use tokio::sync::watch;
use tonic_health::server::HealthReporter;

use crate::ops::Readiness;

/// Returns when the store was rebuilt; never where nobody else has it.
pub(super) async fn until_rebuilt(condition: Option<watch::Receiver<Condition>>) {
    if let Some(mut condition) = condition
        && condition.wait_for(|condition| *condition == Condition::Rebuilt).await.is_ok()
    {
        return;
    }
    std::future::pending().await
}

/// Of a store that does not answer.
const CUT_OFF: Readiness =
    Readiness::NotReady(Cow::Borrowed("the store, such as Redis, does not answer this server"));

/// Takes the server out of its balancer when the store is not what it was, and for as long as
/// it does not answer.
pub(super) fn watch(
    condition: Option<watch::Receiver<Condition>>,
    cut_off: watch::Receiver<bool>,
    tasks: &Tasks,
    readiness: &watch::Sender<Readiness>,
    health: &HealthReporter,
) {
    let Some(condition) = condition else { return };
    let (readiness, health) = (readiness.clone(), health.clone());
    let closing = tasks.closing();
    tasks.spawn("condition", async move {
        tokio::select! {
            why = until_other(condition) => {
                readiness.send_replace(Readiness::NotReady(why.into()));
                super::not_serving(&health).await;
            }
            () = follow(cut_off, &readiness, &health) => {}
            () = closing.cancelled() => {}
        }
    });
}

/// Returns with the reason when the store is not the one that it was.
async fn until_other(mut condition: watch::Receiver<Condition>) -> String {
    let is_other = |condition: &Condition| *condition != Condition::Sound;
    match condition.wait_for(is_other).await.map(|changed| changed.clone()) {
        Ok(Condition::RolledBack(why)) => why,
        Ok(Condition::Sound | Condition::Rebuilt) => "the store was rebuilt".to_owned(),
        Err(_) => std::future::pending().await,
    }
}

/// Tells probes whether the store answers. A server that ends has said so, and stays that way.
async fn follow(
    mut cut_off: watch::Receiver<bool>,
    readiness: &watch::Sender<Readiness>,
    health: &HealthReporter,
) {
    while cut_off.changed().await.is_ok() {
        let is_cut_off = *cut_off.borrow_and_update();
        let (from, to) =
            if is_cut_off { (Readiness::Ready, CUT_OFF) } else { (CUT_OFF, Readiness::Ready) };
        let has_changed = readiness.send_if_modified(|readiness| {
            let fits = *readiness == from;
            if fits {
                *readiness = to;
            }
            fits
        });
        if !has_changed {
            continue;
        }
        tracing::warn!(is_cut_off, "whether the store answers this server");
        if is_cut_off {
            super::not_serving(health).await;
        } else {
            super::serving(health).await;
        }
    }
    std::future::pending().await
}
