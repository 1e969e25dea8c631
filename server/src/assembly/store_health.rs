//! Translates the health of the store into readiness and gRPC health, so that a load balancer
//! stops sending calls to a server whose store is unreachable or rolled back.

use std::borrow::Cow;

use sentinel_engine::Tasks;
use sentinel_store_redis::StoreHealth;
use tokio::sync::watch;
use tonic_health::server::HealthReporter;

use super::health;
use crate::ops::Readiness;

const STORE_UNREACHABLE: Readiness = Readiness::NotReady(Cow::Borrowed(
    "the store does not answer this server: check that Redis runs and that store_url is right",
));

/// Returns when the store was rebuilt. Never returns for a store that no other process changes.
pub(super) async fn wait_until_rebuilt(health: Option<watch::Receiver<StoreHealth>>) {
    if let Some(mut health) = health
        && health.wait_for(|health| *health == StoreHealth::Rebuilt).await.is_ok()
    {
        return;
    }
    std::future::pending().await
}

/// Spawns a task that reports the server as not ready while the store is unreachable, and for
/// good once the store was rolled back or rebuilt.
pub(super) fn watch(
    store_health: Option<watch::Receiver<StoreHealth>>,
    is_unreachable: watch::Receiver<bool>,
    tasks: &Tasks,
    readiness: &watch::Sender<Readiness>,
    reporter: &HealthReporter,
) {
    let Some(store_health) = store_health else { return };
    let (readiness, reporter) = (readiness.clone(), reporter.clone());
    let closing = tasks.closing();
    tasks.spawn("store health", async move {
        tokio::select! {
            reason = wait_until_replaced(store_health) => {
                readiness.send_replace(Readiness::NotReady(reason.into()));
                health::set_not_serving(&reporter).await;
            }
            () = follow_reachability(is_unreachable, &readiness, &reporter) => {}
            () = closing.cancelled() => {}
        }
    });
}

/// Returns the reason when the store is no longer the one that the server opened.
async fn wait_until_replaced(mut health: watch::Receiver<StoreHealth>) -> String {
    let is_replaced = |health: &StoreHealth| *health != StoreHealth::Healthy;
    match health.wait_for(is_replaced).await.map(|changed| changed.clone()) {
        Ok(StoreHealth::RolledBack(reason)) => reason,
        Ok(StoreHealth::Healthy | StoreHealth::Rebuilt) => "the store was rebuilt".to_owned(),
        Err(_) => std::future::pending().await,
    }
}

/// Mirrors the reachability of the store. Leaves any other readiness as it is: a server that
/// shuts down stays not ready.
async fn follow_reachability(
    mut is_unreachable: watch::Receiver<bool>,
    readiness: &watch::Sender<Readiness>,
    reporter: &HealthReporter,
) {
    while is_unreachable.changed().await.is_ok() {
        let is_unreachable = *is_unreachable.borrow_and_update();
        let (from, to) = if is_unreachable {
            (Readiness::Ready, STORE_UNREACHABLE)
        } else {
            (STORE_UNREACHABLE, Readiness::Ready)
        };
        let has_changed = readiness.send_if_modified(|readiness| {
            let is_expected = *readiness == from;
            if is_expected {
                *readiness = to;
            }
            is_expected
        });
        if !has_changed {
            continue;
        }
        if is_unreachable {
            tracing::warn!("store is unreachable, reporting not ready");
            health::set_not_serving(reporter).await;
        } else {
            tracing::info!("store is reachable again, reporting ready");
            health::set_serving(reporter).await;
        }
    }
    std::future::pending().await
}
