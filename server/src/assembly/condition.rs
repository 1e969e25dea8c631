//! A hot store that lost what it acknowledged: probes are told, and the server waits until
//! somebody has rebuilt it.

use sentinel_engine::Tasks;
use sentinel_redis::Condition;
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

/// Takes the server out of its balancer when the store is not what it was.
pub(super) fn watch(
    condition: Option<watch::Receiver<Condition>>,
    tasks: &Tasks,
    readiness: &watch::Sender<Readiness>,
    health: &HealthReporter,
) {
    let Some(condition) = condition else { return };
    let told = tell(condition, readiness.clone(), health.clone());
    let closing = tasks.closing();
    tasks.spawn("condition", async move {
        tokio::select! {
            () = told => {}
            () = closing.cancelled() => {}
        }
    });
}

async fn tell(
    mut condition: watch::Receiver<Condition>,
    readiness: watch::Sender<Readiness>,
    health: HealthReporter,
) {
    let is_other = |condition: &Condition| *condition != Condition::Sound;
    let Ok(changed) = condition.wait_for(is_other).await.map(|changed| changed.clone()) else {
        return;
    };
    let why = match changed {
        Condition::RolledBack(why) => why,
        Condition::Sound | Condition::Rebuilt => "the store was rebuilt".to_owned(),
    };
    readiness.send_replace(Readiness::NotReady(why.into()));
    super::not_serving(&health).await;
}
