//! Clients that repeat each request until they get a response, and log the responses.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use sentinel_domain::{JobId, NewJob};
use sentinel_engine::{CancelOutcome, Engine, EngineError, IdempotencyKey, Submitter};
use tokio::task::JoinSet;

use super::observations::{EventLog, Observation};

/// Open and answered requests.
#[derive(Default)]
pub(crate) struct CallState {
    /// Requests without a response, or with an error that does not decide the request.
    open: BTreeMap<String, NewJob>,
    /// Jobs of the responses, oldest first.
    pub(crate) ids: Vec<JobId>,
}

pub(crate) struct Clients {
    event_log: EventLog,
    state: Arc<Mutex<CallState>>,
    calls: JoinSet<()>,
    sent: u64,
}

impl Clients {
    pub(crate) fn new(event_log: &EventLog) -> Self {
        let (state, calls) = (Arc::default(), JoinSet::new());
        Self { event_log: event_log.clone(), state, calls, sent: 0 }
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, CallState> {
        self.state.lock().expect("no poisoned lock")
    }

    pub(crate) fn sent(&self) -> u64 {
        self.sent
    }

    /// Returns true when no call is running and no request is open.
    pub(crate) fn is_settled(&mut self) -> bool {
        while self.calls.try_join_next().is_some() {}
        self.calls.is_empty() && self.state().open.is_empty()
    }

    /// Sends a new request.
    pub(crate) fn enqueue(&mut self, engine: &Engine, new: NewJob) {
        self.sent += 1;
        let request = format!("request-{}", self.sent);
        self.state().open.insert(request.clone(), new.clone());
        self.send(engine, request, new);
    }

    /// Sends the open requests again.
    pub(crate) fn resend(&mut self, engine: &Engine) {
        while self.calls.try_join_next().is_some() {}
        if self.calls.is_empty() {
            let open = self.state().open.clone();
            open.into_iter().for_each(|(request, new)| self.send(engine, request, new));
        }
    }

    fn send(&mut self, engine: &Engine, request: String, new: NewJob) {
        let (engine, state, event_log) =
            (engine.clone(), self.state.clone(), self.event_log.clone());
        self.calls.spawn(async move {
            let key = IdempotencyKey { id: request.clone(), content_hash: 1 };
            let response =
                engine.jobs().enqueue(new, Submitter::unrestricted("sim"), Some(key)).await;
            let mut state = state.lock().expect("no poisoned lock");
            match response {
                Ok(enqueued) => {
                    let id = enqueued.job.id;
                    if !state.ids.contains(&id) {
                        state.ids.push(id);
                    }
                    state.open.remove(&request);
                    event_log.write(Observation::Enqueued { request, id });
                }
                // Refused permanently because the deadline has passed.
                Err(EngineError::Invalid(_)) => drop(state.open.remove(&request)),
                // The job was deleted in the meantime.
                Err(EngineError::JobNotFound(_)) => drop(state.open.remove(&request)),
                Err(_) => {}
            }
        });
    }

    pub(crate) fn cancel(&mut self, engine: &Engine, id: JobId) {
        let (engine, event_log) = (engine.clone(), self.event_log.clone());
        self.calls.spawn(async move {
            if let Ok(cancelled) = engine.jobs().cancel(id, "", "sim").await
                && cancelled.outcome == CancelOutcome::Cancelled
            {
                event_log.write(Observation::Cancelled { id, run: cancelled.job.status.run });
            }
        });
    }

    pub(crate) fn retry(&mut self, engine: &Engine, id: JobId) {
        let (engine, event_log) = (engine.clone(), self.event_log.clone());
        self.calls.spawn(async move {
            if let Ok(job) = engine.jobs().retry(id, None).await {
                event_log.write(Observation::Retried { id, run: job.status.run });
            }
        });
    }

    pub(crate) fn run_now(&mut self, engine: &Engine, id: JobId) {
        let engine = engine.clone();
        self.calls.spawn(async move { drop(engine.jobs().run_now(id, None).await) });
    }

    pub(crate) fn delete(&mut self, engine: &Engine, id: JobId) {
        let (engine, event_log) = (engine.clone(), self.event_log.clone());
        self.calls.spawn(async move {
            if engine.jobs().delete(id, "sim", None).await.is_ok() {
                event_log.write(Observation::Deleted { id });
            }
        });
    }

    /// Drops all running calls.
    pub(crate) async fn on_server_death(&mut self) {
        self.calls.shutdown().await;
    }
}
