//! The worker information that is stored with a session, and its drain flag.

use std::collections::HashMap;

use sentinel_domain::{KeyId, Millis, Name, SessionId};
use sentinel_store::{AnnouncedKind, Mutation, Transaction, WorkerInfo, content_hash};

use super::actor::{Completion, Session};
use super::context::SessionContext;
use super::frame::{Hello, Principal};
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
            key_id: self.principal.key_id,
        }
    }
}

/// A session in the store.
#[derive(Default)]
pub(super) struct StoredSession {
    /// When it began, if known.
    pub(super) since: Option<Millis>,
    pub(super) is_drained: bool,
    key_id: Option<KeyId>,
}

impl StoredSession {
    /// Returns whether this principal may resume the session.
    pub(super) fn belongs_to(&self, principal: &Principal) -> bool {
        self.key_id.is_none() || self.key_id == principal.key_id
    }
}

impl SessionContext {
    /// Returns what the store has of a session that a worker wants to resume.
    pub(super) async fn stored_session(&self, id: SessionId) -> Result<StoredSession, EngineError> {
        let session = self.store.session_infos(vec![id]).await?.pop().flatten();
        let Some(session) = session else { return Ok(StoredSession::default()) };
        // After a restart of the store the row may have no worker information.
        let info = decode_worker_info(&session)?;
        let since = Some(info.since).filter(|since| *since > 0);
        Ok(StoredSession { since, is_drained: session.is_drained, key_id: info.key_id })
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
                Ok(StoredSession { is_drained: true, .. }) => Completion::Drained,
                _ => Completion::Nothing,
            }
        });
    }
}
