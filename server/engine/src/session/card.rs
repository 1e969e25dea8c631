//! The card of a session: what stands beside its row for whoever looks at the workers, and
//! the word of an operator that it is to get no more jobs.

use std::collections::HashMap;

use sentinel_domain::{Millis, Name, SessionId};
use sentinel_store::{AnnouncedKind, Mutation, Transaction, WorkerInfo, content_hash};

use super::{Done, Hello, Session};
use crate::registry;
use crate::{Engine, EngineError};

impl Hello {
    pub(super) fn announcement(&self, since: Millis) -> WorkerInfo {
        let declared = self.about.kinds.iter().filter(|kind| !kind.input_schema.is_empty());
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
            build: self.about.build.clone(),
            server: self.about.server.clone(),
            since,
            queues: self.queues.clone(),
            kinds,
            labels: self.about.labels.clone(),
            capabilities: self.about.capabilities.clone(),
            slots: 0,
            is_leaving: false,
        }
    }
}

impl Engine {
    /// Since when a session that comes back is there, and whether it is to get no more jobs.
    pub(super) async fn known_session(
        &self,
        id: SessionId,
    ) -> Result<(Option<Millis>, bool), EngineError> {
        let card = self.store.cards(vec![id]).await?.pop().flatten();
        let Some(card) = card else { return Ok((None, false)) };
        // What a restart or an older server left has no announcement.
        let since = Some(registry::decoded(&card)?.since).filter(|since| *since > 0);
        Ok((since, card.is_drained))
    }
}

impl Session {
    /// Notes what the worker says of itself; nobody waits for it.
    pub(super) fn put_card(&mut self) {
        let row = self.owned();
        let announcement = self.announcement.encode();
        let changes = vec![Mutation::PutWorkerInfo { session: self.id, announcement }];
        let group = Transaction { changes, ..row };
        let engine = self.engine.clone();
        self.in_flight.push(Box::pin(async move {
            if let Err(error) = engine.commits.group(group).await {
                tracing::debug!(%error, "the card of a session was not noted");
            }
            Done::Nothing
        }));
    }

    /// Looks whether the session is to get no more jobs. The store gives it none in any case:
    /// this only saves asking.
    pub(super) fn look_at_card(&mut self) {
        if self.is_draining {
            return;
        }
        let (engine, id) = (self.engine.clone(), self.id);
        self.in_flight.push(Box::pin(async move {
            match engine.known_session(id).await {
                Ok((_, true)) => Done::Drained,
                _ => Done::Nothing,
            }
        }));
    }
}
