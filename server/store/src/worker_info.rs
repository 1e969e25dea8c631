//! The description of a worker, stored with its session.

use bytes::Bytes;
use prost::Message;
use sentinel_domain::{KeyId, Label, Millis, Name};

use crate::codec::{CodecError, NamePool};
use crate::{SessionRow, stored as s};

/// A session with the description of its worker.
#[derive(Clone, Debug, PartialEq)]
pub struct SessionInfo {
    pub row: SessionRow,
    /// An encoded [`WorkerInfo`]. Empty if the worker has sent none.
    pub worker_info: Bytes,
    /// Whether the session is drained: its claims get no jobs.
    pub is_drained: bool,
    /// The number of RUNNING jobs of the session.
    pub running: u64,
}

/// The self-description of a worker at the start of its session.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WorkerInfo {
    pub instance: Box<str>,
    pub build: Box<str>,
    /// The name of the server that the worker connected to.
    pub server: Box<str>,
    /// The start of the session.
    pub since: Millis,
    pub queues: Vec<Name>,
    /// Sorted by name.
    pub kinds: Vec<AnnouncedKind>,
    pub labels: Vec<Label>,
    pub capabilities: Vec<Box<str>>,
    /// The number of jobs that the worker accepts, including those that it was running.
    pub slots: u32,
    /// Whether the worker drains itself: it wants no more jobs.
    pub is_draining: bool,
    /// The API key that opened the session. None if none was required.
    pub key_id: Option<KeyId>,
}

/// A kind that a worker runs, with a hash of its schema. The hash is 0 without a schema.
///
/// The schemas themselves are not stored with the session: they may have 16 KiB each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnnouncedKind {
    pub name: Name,
    pub schema_hash: u64,
}

impl WorkerInfo {
    /// Encodes the description.
    pub fn encode(&self) -> Bytes {
        s::WorkerInfo {
            instance: self.instance.to_string(),
            build: self.build.to_string(),
            server: self.server.to_string(),
            since_ms: self.since,
            queues: self.queues.iter().map(ToString::to_string).collect(),
            kinds: self
                .kinds
                .iter()
                .map(|k| s::AnnouncedKind { name: k.name.to_string(), schema_hash: k.schema_hash })
                .collect(),
            labels: self
                .labels
                .iter()
                .map(|l| s::Label { key: l.key.to_string(), value: l.value.to_string() })
                .collect(),
            capabilities: self.capabilities.iter().map(ToString::to_string).collect(),
            slots: self.slots,
            is_draining: self.is_draining,
            key_id: self.key_id.map(|id| id.0),
        }
        .encode_to_vec()
        .into()
    }

    /// Decodes a stored description.
    pub fn decode(bytes: Bytes, names: &mut NamePool) -> Result<Self, CodecError> {
        let stored = s::WorkerInfo::decode(bytes)?;
        let kinds = stored.kinds.into_iter();
        let labels = stored.labels.into_iter();
        Ok(Self {
            instance: stored.instance.into(),
            build: stored.build.into(),
            server: stored.server.into(),
            since: stored.since_ms,
            queues: stored.queues.iter().map(|name| names.intern(name)).collect(),
            kinds: kinds
                .map(|k| AnnouncedKind { name: names.intern(&k.name), schema_hash: k.schema_hash })
                .collect(),
            labels: labels
                .map(|l| Label { key: names.intern(&l.key), value: l.value.into() })
                .collect(),
            capabilities: stored.capabilities.into_iter().map(Into::into).collect(),
            slots: stored.slots,
            is_draining: stored.is_draining,
            key_id: stored.key_id.map(KeyId),
        })
    }
}
