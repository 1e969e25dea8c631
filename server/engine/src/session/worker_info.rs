//! The worker information that is stored with a session, and its drain flag.

use std::collections::HashMap;

use sentinel_domain::{Millis, Name, SessionId};
use sentinel_store::{AnnouncedKind, Mutation, Transaction, WorkerInfo, content_hash};

use super::actor::{Completion, Session};
use super::context::SessionContext;
use super::frame::Hello;
use crate::EngineError;
use crate::workers::decode_worker_info;

impl Hello {
    pub(super) fn worker_info(&self, since: Millis) -> WorkerInfo {
        let declared = self.details.kinds.iter().filter(|kind| !kind.input_schema.is_empty());
        let hashes: HashMap<&Name, u64> = declared
            .map(|kind| (&kind.name, content_hash(kind.input_schema.as_bytes()).max(1)))
            .collect();
        let announced = |name: &Name| {
            let schema_hash = hashes.get(name).copied().unwrap_or(0);
            AnnouncedKind { name: name.clone(), schema_hash }
        };
        let mut kinds: Vec<AnnouncedKind> = self.kinds.iter().map(announced).collect();
        kinds.sort_by(|a, b| a.name.cmp(&b.name));
        kinds.dedup_by(|a, b| a.name == b.name);
        WorkerInfo {
            instance: self.instance.as_str().into(),
            build: self.details.build.clone(),
            server: self.details.server.clone(),
            since,
            queues: self.queues.clone(),
            kinds,
            labels: self.details.labels.clone(),
            capabilities: self.details.capabilities.clone(),
            slots: 0,
            is_draining: false,
        }
    }
}

impl SessionContext {
    /// Returns when a resumed session began, if known, and whether it is drained.
    pub(super) async fn stored_session(
        &self,
        id: SessionId,
    ) -> Result<(Option<Millis>, bool), EngineError> {
        let session = self.store.session_infos(vec![id]).await?.pop().flatten();
        let Some(session) = session else { return Ok((None, false)) };
        // After a restart of the store the row may have no worker information.
        let since = Some(decode_worker_info(&session)?.since).filter(|since| *since > 0);
        Ok((since, session.is_drained))
    }
}

impl Session {
    /// Stores the worker information, without waiting for it.
    pub(super) fn put_worker_info(&mut self) {
        let mutations =
            vec![Mutation::PutWorkerInfo { session: self.id, worker_info: self.info.encode() }];
        let transaction = Transaction { mutations, ..self.owned_transaction() };
        let context = self.context.clone();
        self.spawn(async move {
            if let Err(error) = context.committer.submit(transaction).await {
                tracing::debug!(%error, "worker information could not be stored");
            }
            Completion::Nothing
        });
    }

    /// Checks whether the session was drained. The store gives no job to a drained session in any
    /// case; this only avoids useless claims.
    pub(super) fn recheck_drained(&mut self) {
        if self.is_draining {
            return;
        }
        let (context, id) = (self.context.clone(), self.id);
        self.spawn(async move {
            match context.stored_session(id).await {
                Ok((_, true)) => Completion::Drained,
                _ => Completion::Nothing,
            }
        });
    }
}
