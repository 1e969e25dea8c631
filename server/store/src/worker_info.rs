//! What stands beside the row of a session: who the worker is, for people and for the counts of
//! kinds, and whether it is to get no more jobs.

use bytes::Bytes;
use prost::Message;
use sentinel_domain::{Label, Millis, Name};

use crate::codec::{CodecError, NamePool};
use crate::{SessionRow, stored as s};

/// A session with what is known of its worker.
#[derive(Clone, Debug, PartialEq)]
pub struct SessionInfo {
    pub row: SessionRow,
    /// An encoded [`WorkerInfo`]; empty where nothing was announced.
    pub worker_info: Bytes,
    /// No claim of it gets a job.
    pub is_drained: bool,
    /// Jobs that are RUNNING under it.
    pub running: u64,
}

/// What a worker said of itself when its stream began.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WorkerInfo {
    pub instance: Box<str>,
    pub build: Box<str>,
    /// Name of the server that it said so to.
    pub server: Box<str>,
    /// When the session began.
    pub since: Millis,
    pub queues: Vec<Name>,
    /// By name.
    pub kinds: Vec<AnnouncedKind>,
    pub labels: Vec<Label>,
    pub capabilities: Vec<Box<str>>,
    /// Jobs that it had room for, those included that it held.
    pub slots: u32,
    /// It asked for no more jobs by itself.
    pub is_draining: bool,
}

/// A kind with a hash of its schema, 0 where it declares none: a thousand schemas of 16 KiB
/// do not belong beside a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnnouncedKind {
    pub name: Name,
    pub schema_hash: u64,
}

impl WorkerInfo {
    /// As a store keeps it.
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
        }
        .encode_to_vec()
        .into()
    }

    /// From what a store kept.
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
        })
    }
}
